"""OSRM in this process. It holds the interpreter while it looks for a way: who has other things to do asks workers."""

from pathlib import Path
from typing import Any, Final

from routing.roads.build import BASE_NAME, FOLDER_NAME, RoadsError

FAR_M: Final = 1_000.0
"""A place farther from any road is off the map."""

Coordinates = tuple[float, float, float, float]
"""lat, lon, to_lat, to_lon in degrees."""

Found = tuple[float, float] | None
"""Seconds and metres by road; None where there is no way."""


class RoadNetwork:
    """The prepared roads in the folder of a map, mapped into memory. Raises RoadsError."""

    def __init__(self, folder: Path) -> None:
        try:
            import osrm
        except ImportError as error:
            raise RoadsError(
                "roads need OSRM: install Onsite with its extra `road`, on Python 3.12 or newer"
            ) from error
        self._parameters = osrm.RouteParameters
        base = folder / FOLDER_NAME / BASE_NAME
        try:
            self._engine = osrm.OSRM(storage_config=str(base), use_shared_memory=False, use_mmap=True, algorithm="CH")
        except RuntimeError as error:
            raise RoadsError(f"{base.parent}: no roads to read ({error}); make them by onsite map build") from error

    def find(self, ways: list[Coordinates]) -> list[Found]:
        """Of each way, the quickest by road."""
        return [self._find(*way) for way in ways]

    def _find(self, lat: float, lon: float, to_lat: float, to_lon: float) -> Found:
        asked = self._parameters(coordinates=[(lon, lat), (to_lon, to_lat)], overview="false", generate_hints=False)
        try:
            answer: Any = self._engine.Route(asked)
        except RuntimeError:  # no road near, or no way between
            return None
        if any(float(each["distance"]) > FAR_M for each in answer["waypoints"]):
            return None
        route = answer["routes"][0]
        return float(route["duration"]), float(route["distance"])
