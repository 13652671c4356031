"""Which provider the settings come to, and a map that comes, is built anew and goes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from routing import opening
from routing.opening import LoadedMap, open_provider
from routing.provider import Floats, Ways
from routing.roads.build import BASE_NAME, FOLDER_NAME, RoadsError
from routing.roads.providers import RoadsOverHttp
from routing.straight_line import StraightLine
from schemas.settings import Settings

WAY = tuple(np.array([each]) for each in (47.14, 9.52, 47.16, 9.51))


class Roads:
    """Stands for OSRM's workers."""

    name = "osrm"
    closed = 0

    def __init__(self, folder: Path, workers: int) -> None:
        assert workers == 3
        if "broken" in (folder / FOLDER_NAME / f"{BASE_NAME}.hsgr").read_text():
            raise RoadsError("broken")

    def ways(self, lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Ways:
        return Ways(lat * 0.0 + 60.0, lat * 0.0, ["osrm"] * len(lat))

    def close(self) -> None:
        Roads.closed += 1


def loaded(folder: Path, text: str) -> None:
    """A map is put in place, whole."""
    made = folder / "made"
    made.mkdir()
    (made / f"{BASE_NAME}.hsgr").write_text(text)
    shutil.rmtree(folder / FOLDER_NAME, ignore_errors=True)
    made.rename(folder / FOLDER_NAME)


def test_each_name_has_its_provider() -> None:
    assert isinstance(open_provider(Settings(routing="straight_line")), StraightLine)
    assert isinstance(open_provider(Settings(routing="osrm+http://127.0.0.1:5000")), RoadsOverHttp)
    assert isinstance(open_provider(Settings()), LoadedMap)


@pytest.mark.parametrize("routing", ["osrm", "osrm+ftp://x", "valhalla+http://x", "osrm+http://"])
def test_other_names_are_refused(routing: str) -> None:
    with pytest.raises(ValidationError, match="straight_line"):
        Settings(routing=routing)


def test_a_map_may_come_be_built_anew_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "RoadsInWorkers", Roads)
    Roads.closed = 0
    provider = LoadedMap(tmp_path, 3)
    told = []
    for text in ("", "one", "broken", "other"):
        if text:
            loaded(tmp_path, text)
        told += provider.ways(*WAY).providers
        assert provider.name == told[-1]
    assert told == ["straight_line", "osrm", "straight_line", "osrm"]
    assert Roads.closed == 1
    shutil.rmtree(tmp_path / FOLDER_NAME)
    assert provider.ways(*WAY).providers == ["straight_line"]
    assert Roads.closed == 2
