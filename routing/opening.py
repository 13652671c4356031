"""The ETA provider that the settings name: the roads of a loaded map, the straight line, or a server."""

import threading
from pathlib import Path

import structlog

from routing.provider import Floats, Provider, Ways
from routing.roads.build import RoadsError, stamp_of_roads
from routing.roads.providers import RoadsInWorkers, RoadsOverHttp
from routing.straight_line import NAME, StraightLine
from schemas.settings import Settings

log = structlog.get_logger()


def open_provider(settings: Settings) -> Provider:
    """The one that ``ONSITE_ROUTING`` names; to be asked from threads."""
    kind, _, url = settings.routing.partition("+")
    if kind == NAME:
        return StraightLine()
    if kind:
        return RoadsOverHttp(url)
    return LoadedMap(settings.map_folder(), settings.routing_workers)


class LoadedMap:
    """The roads in the folder of a map, which may come, go and be built anew meanwhile; without any, the straight line.

    Every method may be called from any thread.
    """

    def __init__(self, folder: Path, workers: int = 1) -> None:
        self._folder = folder
        self._workers = workers
        self._stamp: tuple[int, int] | None = None
        self._serving: Provider = StraightLine()
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        """As ``Provider`` has it: of what serves now."""
        return self._serving.name

    def ways(self, lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Ways:
        """As ``Provider`` has it."""
        return self._opened().ways(lat, lon, to_lat, to_lon)

    def close(self) -> None:
        """End the workers."""
        with self._opening:
            self._serving.close()

    def _opened(self) -> Provider:
        stamp = stamp_of_roads(self._folder)
        if stamp != self._stamp:
            with self._opening:
                if stamp != self._stamp:
                    self._serving.close()
                    self._serving = self._roads() if stamp is not None else StraightLine()
                    self._stamp = stamp
        return self._serving

    def _roads(self) -> Provider:
        try:
            roads = RoadsInWorkers(self._folder, self._workers)
        except RoadsError as error:
            log.warning("no ETAs by road, the straight line stands in", reason=str(error))
            return StraightLine()
        log.info("ETAs go by road", folder=str(self._folder))
        return roads
