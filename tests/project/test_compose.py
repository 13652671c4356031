"""docker-compose.yml, the Dockerfile and what Prometheus and Grafana are told, held against the code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from infra.cli import COMMANDS, build
from schemas.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "infra" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
SETTINGS = {f"ONSITE_{name}".upper() for name in Settings.model_fields}
DASHBOARDS = sorted((ROOT / "infra" / "grafana" / "dashboards").glob("*.json"))
METRIC = re.compile(r"onsite_[a-z0-9_]+")


def variables_of(service: str) -> set[str]:
    return {name for name in SERVICES[service].get("environment", {}) if name.startswith("ONSITE_")}


def commands() -> dict[str, list[str]]:
    """Where each ``onsite …`` command line stands -> its words."""
    found = {name: service["command"] for name, service in SERVICES.items() if "command" in service}
    return {**found, "Dockerfile": json.loads(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])}


def metrics_of_the_code() -> set[str]:
    """Every series the processes expose, by the names Prometheus stores them under."""
    declared = re.compile(r"\b(Counter|Gauge|Histogram|Summary)\(\s*\"(onsite_[a-z0-9_]+)\"")
    suffixes = {
        "Counter": ("_total",),
        "Gauge": ("",),
        "Histogram": ("_bucket", "_sum", "_count"),
        "Summary": ("_sum", "_count"),
    }
    names = set()
    for folder in ("api", "stream", "infra"):
        for module in (ROOT / folder).rglob("*.py"):
            for kind, name in declared.findall(module.read_text(encoding="utf-8")):
                names |= {name.removesuffix("_total") + suffix for suffix in suffixes[kind]}
    return names


def panels_of(dashboard: Path) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(dashboard.read_text(encoding="utf-8"))["panels"]
    return panels


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_a_setting(service: str) -> None:
    assert variables_of(service) <= SETTINGS


def test_every_variable_of_the_image_is_a_setting() -> None:
    set_in_image = set(re.findall(r"\b(ONSITE_[A-Z_]+)=", DOCKERFILE))
    assert set_in_image
    assert set_in_image <= SETTINGS


def test_the_settings_of_every_process_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in SERVICES:
        with monkeypatch.context() as patched:
            for name in variables_of(service):
                patched.setenv(name, str(SERVICES[service]["environment"][name]))
            Settings()


@pytest.mark.parametrize("place", commands())
def test_every_command_is_one_of_the_command_line(place: str) -> None:
    program, name, *rest = commands()[place]
    assert program == "onsite"
    assert name in COMMANDS
    command = typer.main.get_command(build((name,))).commands[name]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= known


def test_the_whole_system_is_there() -> None:
    ours = {words[1] for name, words in commands().items() if name != "Dockerfile"}
    assert ours == {"api", "tracker", "foreman", "recorder", "notifier", "migrate"}
    assert {"kafka", "clickhouse", "prometheus", "grafana"} <= set(SERVICES)
    assert SERVICES["tracker"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("service", SERVICES)
def test_images_are_pinned(service: str) -> None:
    assert re.search(r":v?\d+\.\d+", SERVICES[service]["image"]), SERVICES[service]["image"]


def test_base_images_are_pinned_to_a_patch_release_and_alike() -> None:
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.13\.\d+-slim-\w+", bases.pop())


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_watched(service: str) -> None:
    inherits = SERVICES[service]["image"].startswith("onsite:") and "HEALTHCHECK" in DOCKERFILE
    assert "healthcheck" in SERVICES[service] or inherits


def test_no_secret_is_written_down() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable:
                assert re.fullmatch(r"\$\{[A-Z_]+:\?.*\}", value), f"{name}: {variable}"
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    assert asked == set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    assert not re.search(r"^\w*PASSWORD=.", example, re.MULTILINE)


def test_the_image_runs_as_nobody_special() -> None:
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"


def test_prometheus_finds_every_process() -> None:
    told = yaml.safe_load((ROOT / "infra" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    scraped = {place["names"][0]: place["port"] for job in told["scrape_configs"] for place in job["dns_sd_configs"]}
    exposed = {"api": int(SERVICES["api"]["environment"]["ONSITE_PORT"])}
    for name, service in SERVICES.items():
        if "ONSITE_METRICS_PORT" in service.get("environment", {}):
            exposed[name] = int(service["environment"]["ONSITE_METRICS_PORT"])
    assert scraped == exposed


def test_alerts_watch_series_that_exist() -> None:
    told = yaml.safe_load((ROOT / "infra" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    rules = [rule for group in told["groups"] for rule in group["rules"]]
    assert rules
    for rule in rules:
        assert set(METRIC.findall(rule["expr"])) <= metrics_of_the_code(), rule["alert"]
        assert rule["annotations"]["summary"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.name)
def test_dashboards_show_series_that_exist(dashboard: Path) -> None:
    shown = {
        name
        for panel in panels_of(dashboard)
        for target in panel["targets"]
        for name in METRIC.findall(target.get("expr", ""))
    }
    assert shown
    assert shown <= metrics_of_the_code()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.name)
def test_dashboards_use_the_provisioned_sources(dashboard: Path) -> None:
    provisioned = ROOT / "infra" / "grafana" / "provisioning" / "datasources" / "onsite.yml"
    sources = {source["uid"] for source in yaml.safe_load(provisioned.read_text(encoding="utf-8"))["datasources"]}
    assert {panel["datasource"]["uid"] for panel in panels_of(dashboard)} <= sources
