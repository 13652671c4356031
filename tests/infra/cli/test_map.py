"""``onsite map build``: what it makes, where it puts it, and one clear line for what cannot be."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from infra.cli import build
from infra.errors import CommandError
from routing.addresses.book import AddressBook
from routing.roads.build import has_roads
from schemas.settings import load_settings

osmium = pytest.importorskip("osmium")


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    path = tmp_path / "small.osm.pbf"
    mutable, writer = osmium.osm.mutable, osmium.SimpleWriter(str(path))
    for number, east in ((1, 0.0), (2, 0.002)):
        writer.add_node(mutable.Node(id=number, location=(9.5 + east, 47.1), tags={}))
    house = {"addr:street": "Feldweg", "addr:housenumber": "4", "addr:city": "Au"}
    writer.add_node(mutable.Node(id=3, location=(9.501, 47.1001), tags=house))
    writer.add_way(mutable.Way(id=1, nodes=[1, 2], tags={"highway": "residential", "name": "Feldweg"}))
    writer.close()
    return path


def run(*arguments: Any) -> Result:
    load_settings.cache_clear()
    return CliRunner().invoke(build(("map",)), ["map", "build", *map(str, arguments)])  # type: ignore[return-value]


def test_it_says_what_it_has_made(drawn: Path, tmp_path: Path) -> None:
    result = run(drawn, "-o", tmp_path / "map")
    assert result.exit_code == 0, result.output
    assert "addresses: 1 houses, 1 streets, 0 towns" in result.stdout
    assert ("roads: none, roads need OSRM" in result.stdout) != has_roads(tmp_path / "map")
    assert has_roads(tmp_path / "map") == (find_spec("osrm") is not None)
    [place] = AddressBook(tmp_path / "map" / "addresses.sqlite").search("Au, Feldweg 4")
    assert place.label == "Feldweg 4, Au"


def test_a_script_reads_json(drawn: Path, tmp_path: Path) -> None:
    result = run(drawn, "--state", tmp_path / "state", "--json")
    made = msgspec.json.decode(result.stdout)["made"]["addresses"]
    assert made == {
        "file": str(tmp_path / "state" / "data" / "map" / "addresses.sqlite"),
        "houses": 1,
        "streets": 1,
        "towns": 0,
    }


def test_the_setting_says_where_to(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONSITE_MAP_DIR", str(tmp_path / "there"))
    assert run(drawn).exit_code == 0
    assert (tmp_path / "there" / "addresses.sqlite").exists()


def test_what_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "no.osm.pbf").write_text("no map")
    for source, words in (("absent.osm.pbf", "there is no such file"), ("no.osm.pbf", "no.osm.pbf")):
        result = run(tmp_path / source, "-o", tmp_path / "map")
        assert isinstance(result.exception, CommandError)
        assert words in str(result.exception)
    both = run(tmp_path / "no.osm.pbf", "-o", tmp_path, "--state", tmp_path)
    assert isinstance(both.exception, CommandError)
    assert both.exception.exit_code in (1, 2)
    assert list((tmp_path / "map").iterdir()) == []
