"""What the doctor says of who finds addresses, and of who knows the ways."""

import asyncio
from pathlib import Path

import pytest

from infra.doctor import Finding, check_addresses, check_routes
from schemas.settings import Settings


def finding(tmp_path: Path, geocoder: str = "") -> Finding:
    [found] = asyncio.run(check_addresses(Settings(geocoder=geocoder, map_dir=tmp_path)))
    return found


@pytest.mark.parametrize(
    ("geocoder", "words"),
    [
        ("", "no map is loaded"),
        ("none", "nobody is asked"),
        ("photon+https://geo.example", "photon+https://geo.example"),
    ],
)
def test_what_needs_no_file_is_well(tmp_path: Path, geocoder: str, words: str) -> None:
    found = finding(tmp_path, geocoder)
    assert (found.state, words in found.found) == ("ok", True)


def test_a_file_that_cannot_be_read_is_to_be_made_again(tmp_path: Path) -> None:
    (tmp_path / "addresses.sqlite").write_bytes(b"no database, but long enough to be looked at" * 40)
    found = finding(tmp_path)
    assert found.state == "wrong"
    assert "onsite map build" in found.mend


def test_who_knows_the_ways_is_said_and_roads_that_cannot_be_read(tmp_path: Path) -> None:
    def found(routing: str = "") -> Finding:
        [finding] = asyncio.run(check_routes(Settings(routing=routing, map_dir=tmp_path)))
        return finding

    assert found("straight_line").found == "straight_line"
    assert (found().state, found().found) == ("ok", "no roads are loaded: ETAs go by the straight line")
    (tmp_path / "roads").mkdir()
    (tmp_path / "roads/roads.osrm.hsgr").write_bytes(b"no roads")
    assert (found().state, found().mend) == ("wrong", "run: onsite map build FILE.osm.pbf")
