"""``onsite notifier`` does not start on rules that cannot be: one line says which, and no secret."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli import build
from infra.errors import CommandError
from schemas.settings import load_settings

TEXT = '[notices.texts.en.arrived]\nsubject = "x"\nbody = "{{ where }}"'
CHANNEL = '[[notices.channels]]\nname = "sms"\nurl = "%s"'


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (TEXT, "texts.en.arrived.body: 'where' is undefined"),
        (CHANNEL % "json://${NOT_THERE}", "channel sms: the environment has no NOT_THERE"),
        (CHANNEL % "odd://${A_SECRET}", "channel sms: its url is none that Apprise can read"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    rules: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dispatch.toml"
    path.write_text(rules)
    monkeypatch.setenv("ONSITE_DISPATCH", str(path))
    monkeypatch.setenv("A_SECRET", "s3cret")
    load_settings.cache_clear()
    try:
        result = CliRunner().invoke(build(("notifier",)), ["notifier"])
    finally:
        load_settings.cache_clear()
    assert isinstance(result.exception, CommandError)
    assert named in str(result.exception)
    assert str(path) in str(result.exception)
    assert "s3cret" not in str(result.exception)
