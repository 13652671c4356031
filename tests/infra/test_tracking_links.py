"""Tracking links as a notifier makes them."""

from pathlib import Path

import pytest

from dispatch.tracking import TrackingLinks
from infra.errors import CommandError
from infra.secret import ensure_secret, read_secret
from infra.tracking_links import open_links
from schemas.job import JobRecord
from schemas.settings import Settings
from schemas.times import Instant


def test_they_are_those_of_the_api_or_none(tmp_path: Path) -> None:
    settings = Settings(secret_file=tmp_path / "secret", public_url="https://track.example.com/")
    ensure_secret(settings)
    job = JobRecord(job_id="j", revision=1, created_at=Instant(1), updated_at=Instant(1), state="created")
    links = open_links(settings)
    assert links is not None
    of_the_api = TrackingLinks(read_secret(settings.secret_file), settings.public_url)
    assert links.link_of(job, 3) == of_the_api.link_of(job, 3)
    assert links.link_of(job, 3).startswith("https://track.example.com/t/")
    for missing in ({"secret_file": None}, {"public_url": ""}):
        assert open_links(settings.model_copy(update=missing)) is None
    (tmp_path / "secret").write_text("short")
    with pytest.raises(CommandError, match="ONSITE_SECRET_FILE"):
        open_links(settings)
