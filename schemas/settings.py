"""Settings: the only reader of the environment. Every variable starts with ``ONSITE_``."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, cast, get_args
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.clock import Clock
from schemas.key import Role

_GEOCODERS: Final = ("nominatim", "photon")
_STRAIGHT_LINE: Final = "straight_line"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

LONGEST_WEBHOOK_WAIT_S: Final = 86_400.0
"""Between two attempts of a delivery, whatever a receiver asks for."""

JOBS_KEPT_DAYS_AT_LEAST: Final = 31
"""Late positions find the job they are about for ten days, a calendar shows jobs for thirty."""


class Settings(BaseSettings):
    """What a process of Onsite can be told. The defaults fit the embedded system on one machine."""

    model_config = SettingsConfigDict(env_prefix="ONSITE_", extra="ignore")

    kafka: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, host:port, comma separated")
    clickhouse: str = Field(
        "http://127.0.0.1:8123/onsite",
        description="ClickHouse over HTTP, the database as path; user:password@ before the host where needed",
    )
    partitions: int = Field(8, ge=1, description="partitions of every topic; equal everywhere")
    replication: int = Field(1, ge=1, description="replicas of every topic; 3 in production")
    rules: Path | None = Field(None, description="TOML file of visit rules, read at start; none: the defaults")
    dispatch: Path | None = Field(None, description="TOML file of rules about jobs, read at start; none: the defaults")
    data_dir: Path = Field(Path(".onsite"), description="where a tracker or recorder keeps local files")

    host: str = Field("127.0.0.1", description="address the API binds to")
    port: int = Field(8080, ge=0, le=65535, description="port the API binds to")
    metrics_port: int = Field(0, ge=0, le=65535, description="Prometheus port of tracker and recorder; 0 = none")
    max_batch_pings: int = Field(5_000, ge=1, description="pings in one POST at most")
    max_body_bytes: int = Field(2 * 1024 * 1024, ge=1, description="bytes of one POST at most, after decompression")
    backlog_bytes_per_s: int = Field(
        2_000_000, ge=0, description="bytes a second of posts over 64 KiB, unpacked, by API process; 0 = no limit"
    )
    device_requests_per_s: float = Field(
        20.0, ge=0, description="requests a second of a token bound to a device, by API process; 0 = no limit"
    )
    device_pings_per_s: float = Field(
        200.0, ge=0, description="pings a second of a token bound to a device, by API process; 0 = no limit"
    )
    requests_per_s: float = Field(
        0.0, ge=0, description="requests a second of any other key or person, by API process; 0 = no limit"
    )
    pings_per_s: float = Field(0.0, ge=0, description="pings a second of any other key, by API process; 0 = no limit")
    rate_burst_s: float = Field(60.0, gt=0, description="so many seconds' worth of these come in at once")
    max_import_bytes: int = Field(64 * 1024 * 1024, ge=1, description="bytes of one fence import at most")

    oidc_issuer: str = Field("", description="OpenID provider whose bearer tokens are taken; empty = none")
    oidc_audience: str = Field(
        "", validate_default=True, description="audience that such a token must be for; needed with an issuer"
    )
    oidc_jwks_url: str = Field("", description="where the provider publishes its keys; empty = as it says itself")
    oidc_role_claim: str = Field("roles", description="claim that gives roles; dots lead into claims within claims")
    oidc_roles: str = Field(
        "", description="value=role of that claim, comma separated; the first one that is held counts"
    )

    oidc_branch_claim: str = Field(
        "", description="claim with the branches that its holder sees, none without it; empty = everybody sees all"
    )
    oidc_technician_claim: str = Field("", description="claim with the technician whose jobs its holder sees")

    public_url: str = Field(
        "", description="address at which browsers and phones reach the API; empty = as they name it, without TLS"
    )
    secret_file: Path | None = Field(
        None,
        description="file with the secret behind sessions, enrolments and tracking links; "
        "none: one that ends with the process",
    )
    sign_in_idle_s: float = Field(43_200.0, gt=0, description="a session that is not used for this long is over")
    sign_in_longest_s: float = Field(
        604_800.0, gt=0, le=7_776_000, description="a session is over after this, used or not"
    )

    checkpoint_s: float = Field(3.0, gt=0, description="seconds between two checkpoints of the tracker")
    session_timeout_s: float = Field(10.0, gt=0, description="after this a killed worker's partitions go to another")
    recorder_flush_s: float = Field(0.5, gt=0, description="the recorder inserts at least this often")
    recorder_max_rows: int = Field(200_000, ge=1, description="rows of one insert at most")
    webhook_timeout_s: float = Field(15.0, gt=0, le=120, description="a receiver of events answers within this")
    webhook_retries_s: str = Field(
        "5,300,1800,7200,18000,36000,50400,72000,86400",
        description="seconds between the attempts of a delivery, comma separated; after them it is a dead letter",
    )
    webhook_parallel: int = Field(64, ge=1, description="deliveries under way at once, by notifier")
    webhook_parallel_each: int = Field(4, ge=1, description="of these, to one webhook; 1 while its deliveries fail")
    webhook_max_pending: int = Field(
        10_000, ge=1, description="deliveries that wait for one webhook, by notifier; further ones are dead letters"
    )
    webhook_private_addresses: bool = Field(
        False, description="webhooks may lead to loopback and private addresses; onsite up on loopback says true"
    )
    notice_timeout_s: float = Field(20.0, gt=0, le=120, description="a channel takes a notice within this")
    notice_retries_s: str = Field(
        "5,30,120,300,600",
        description="seconds between the attempts to send a notice, comma separated; after them it has failed",
    )
    notice_parallel_each: int = Field(4, ge=1, description="notices under way at once by one channel; 1 while it fails")
    pings_retention_days: int = Field(
        400, ge=1, description="days a ping is kept, refused ones too, by receive time, and an ETA"
    )
    jobs_kept_days: int = Field(
        0,
        ge=0,
        description="days after its last change that a job that is over stays at hand, 31 at least; "
        "then it is archived: the store alone has it. 0 = for good",
    )
    compaction_lag_s: float = Field(
        86_400.0, ge=1, description="a compacted topic keeps the older records of a key for this long, about"
    )
    unknown_after_s: float = Field(600.0, gt=0, description="a device silent for this long is shown as unknown")

    map_dir: Path | None = Field(None, description="folder of the loaded map; none: map in the folder of local files")
    routing: str = Field(
        "",
        description="who knows how long ways take: straight_line or osrm+URL; empty = the loaded map, if there is one",
    )
    routing_workers: int = Field(
        1, ge=1, le=64, description="of a loaded map: processes that look for ways, by foreman and API process"
    )
    eta_refresh_s: float = Field(45.0, gt=0, description="an ETA older than this is asked for anew at the next fix")
    geocoder: str = Field(
        "",
        description="who finds addresses: none, nominatim+URL or photon+URL; empty = the loaded map, if there is one",
    )
    geocoder_per_s: float = Field(1.0, gt=0, description="requests a second to such a server, by API process")
    geocoder_timeout_s: float = Field(
        4.0, gt=0, le=60, description="it answers within this; whoever waits for a place waits twice as long at most"
    )
    geocoder_kept_days: int = Field(90, ge=0, description="days that its answers are kept")
    geocoder_contact: str = Field("", description="address or mailbox that it is told with each request")

    clock_rate: float = Field(1.0, gt=0, description="how many times faster than life the clock runs")
    clock_start_ms: int = Field(0, description="what the clock showed at its origin, epoch ms")
    clock_origin_ms: int = Field(0, description="the machine's time at which the clock showed its start, epoch ms")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is logged")
    log_format: Literal["console", "json"] = Field("console", description="for people, or one JSON object a line")

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        where = urlsplit(url)
        if url and where.scheme != "https" and not (where.scheme == "http" and where.hostname in _LOOPBACK):
            raise ValueError("must be https; http is for this machine alone")
        return url

    @field_validator("geocoder")
    @classmethod
    def _names_a_geocoder(cls, geocoder: str) -> str:
        kind, _, url = geocoder.partition("+")
        where = urlsplit(url)
        is_server = kind in _GEOCODERS and where.scheme in ("http", "https") and bool(where.hostname)
        if geocoder not in ("", "none") and not is_server:
            raise ValueError(f"{geocoder!r} is none of: none, nominatim+https://…, photon+https://…")
        return geocoder

    @field_validator("routing")
    @classmethod
    def _names_a_provider(cls, routing: str) -> str:
        kind, _, url = routing.partition("+")
        where = urlsplit(url)
        is_server = kind == "osrm" and where.scheme in ("http", "https") and bool(where.hostname)
        if routing not in ("", _STRAIGHT_LINE) and not is_server:
            raise ValueError(f"{routing!r} is none of: {_STRAIGHT_LINE}, osrm+http://…")
        return routing

    @field_validator("jobs_kept_days")
    @classmethod
    def _is_long_enough(cls, days: int) -> int:
        if 0 < days < JOBS_KEPT_DAYS_AT_LEAST:
            raise ValueError(f"{days} days: late positions need jobs for {JOBS_KEPT_DAYS_AT_LEAST} days at least, or 0")
        return days

    @field_validator("oidc_audience")
    @classmethod
    def _is_stated_with_an_issuer(cls, audience: str, others: ValidationInfo) -> str:
        if others.data.get("oidc_issuer") and not audience:
            raise ValueError("must be stated with ONSITE_OIDC_ISSUER")
        return audience

    @field_validator("webhook_retries_s", "notice_retries_s")
    @classmethod
    def _is_a_schedule(cls, schedule: str) -> str:
        _schedule_of(schedule)
        return schedule

    @field_validator("oidc_roles")
    @classmethod
    def _names_roles(cls, roles: str) -> str:
        _roles_of(roles)
        return roles

    def roles_of_oidc(self) -> dict[str, Role]:
        """The role that each value of the provider's claim stands for, the first one that is held counts."""
        return _roles_of(self.oidc_roles)

    def webhook_schedule_s(self) -> tuple[float, ...]:
        """The waits between the attempts of a delivery, seconds."""
        return _schedule_of(self.webhook_retries_s)

    def notice_schedule_s(self) -> tuple[float, ...]:
        """The waits between the attempts to send a notice, seconds."""
        return _schedule_of(self.notice_retries_s)

    def map_folder(self) -> Path:
        """Where a loaded map is."""
        return self.data_dir / "map" if self.map_dir is None else self.map_dir

    def clock(self) -> Clock:
        """The one clock of this process."""
        return Clock(self.clock_rate, self.clock_start_ms, self.clock_origin_ms)


def _roles_of(text: str) -> dict[str, Role]:
    """Of ``value=role,value=role``."""
    roles: dict[str, Role] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        value, _, role = (part.strip() for part in pair.rpartition("="))
        if not value or role not in get_args(Role):
            raise ValueError(f"{pair!r} is not value=role; roles are {', '.join(get_args(Role))}")
        roles[value] = cast(Role, role)
    return roles


def _schedule_of(text: str) -> tuple[float, ...]:
    """Of ``seconds,seconds``."""
    waits = tuple(float(each) for each in text.split(",") if each.strip())
    if not all(0 < wait_s <= LONGEST_WEBHOOK_WAIT_S for wait_s in waits):
        raise ValueError(f"each wait is more than 0 s and {LONGEST_WEBHOOK_WAIT_S:.0f} s at most")
    return waits


def secret_called(name: str) -> str | None:
    """A variable of the environment that a file of rules names in the stead of a secret; None: there is none."""
    return os.environ.get(name)


@lru_cache
def load_settings() -> Settings:
    """Read the environment once."""
    return Settings()
