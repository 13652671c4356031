"""Providers of travel times by road. Where they know of no way, or fail, the straight line stands in and is named."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import structlog

from routing.provider import Floats, Ways
from routing.roads.network import FAR_M, Coordinates, Found, RoadNetwork
from routing.straight_line import StraightLine

NAME: Final = "osrm"

AT_ONCE: Final = 64
"""Ways that a worker is given together."""

TRY_AGAIN_S: Final = 10.0
"""So long nobody asks a server that has failed."""

WITHIN_S: Final = 10.0
"""A server answers for ways that are asked together within this; of the rest the straight line stands in."""

HANGS_S: Final = 30.0
"""Workers that have not answered by then are replaced; they may have read a country before."""

log = structlog.get_logger()

_network: RoadNetwork | None = None


class RoadsInProcess:
    """OSRM in this process: for commands, which have nothing else to do."""

    name = NAME

    def __init__(self, folder: Path) -> None:
        self._network = RoadNetwork(folder)

    def ways(self, lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Ways:
        """As ``Provider`` has it."""
        return by_road(self._network.find, lat, lon, to_lat, to_lon)

    def close(self) -> None:
        """Nothing is held."""


class RoadsInWorkers:
    """OSRM in processes of its own, one map in memory for all of them. One that dies is replaced."""

    name = NAME

    def __init__(self, folder: Path, workers: int = 1) -> None:
        RoadNetwork(folder)  # what is wrong with it is said here, not in a worker
        self._folder = folder
        self._workers = workers
        self._is_closed = False
        self._replacing = threading.Lock()
        self._pool = self._new_pool()

    def ways(self, lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Ways:
        """As ``Provider`` has it; to be called from a thread."""
        return by_road(self._find, lat, lon, to_lat, to_lon)

    def close(self) -> None:
        """End the workers."""
        self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _find(self, ways: list[Coordinates]) -> list[Found]:
        pool, give_up_s = self._pool, time.monotonic() + HANGS_S
        parts = [ways[start : start + AT_ONCE] for start in range(0, len(ways), AT_ONCE)]
        try:
            asked: Sequence[Future[list[Found]]] = [pool.submit(_find_in_worker, part) for part in parts]
            return [found for each in asked for found in each.result(give_up_s - time.monotonic())]
        except TimeoutError:
            self._replace(pool, "does not answer")
        except (RuntimeError, CancelledError) as error:  # of these a BrokenProcessPool
            self._replace(pool, str(error))
        return [None] * len(ways)

    def _replace(self, pool: ProcessPoolExecutor, why: str) -> None:
        """Workers in the stead of those that do not serve; whoever else waits for them is answered by nobody."""
        with self._replacing:
            if self._is_closed or pool is not self._pool:
                return
            log.warning("a routing worker failed, the straight line stands in", reason=why)
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers, mp_context=get_context("spawn"), initializer=_open_in_worker, initargs=(self._folder,)
        )


def _open_in_worker(folder: Path) -> None:
    global _network
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _network = RoadNetwork(folder)


def _end_with_parent() -> None:
    """Whoever asks may be killed: nobody would end the worker then."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(0)


def _find_in_worker(ways: list[Coordinates]) -> list[Found]:
    assert _network is not None
    return _network.find(ways)


class RoadsOverHttp:
    """An OSRM server by its URL. While it fails, nobody waits for it."""

    name = NAME

    def __init__(self, url: str, timeout_s: float = 2.0, profile: str = "driving") -> None:
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=timeout_s)
        self._profile = profile
        self._tried_again_s = 0.0

    def ways(self, lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Ways:
        """As ``Provider`` has it; to be called from a thread."""
        return by_road(self._find, lat, lon, to_lat, to_lon)

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _find(self, ways: list[Coordinates]) -> list[Found]:
        found: list[Found] = []
        give_up_s = time.monotonic() + WITHIN_S
        for way in ways:
            now_s = time.monotonic()
            if now_s < self._tried_again_s or now_s > give_up_s:
                break
            try:
                found.append(self._ask(*way))
            except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
                log.warning("the routing server failed, the straight line stands in", error=str(error)[:200])
                self._tried_again_s = time.monotonic() + TRY_AGAIN_S
        return found + [None] * (len(ways) - len(found))

    def _ask(self, lat: float, lon: float, to_lat: float, to_lon: float) -> Found:
        path = f"/route/v1/{self._profile}/{lon:.6f},{lat:.6f};{to_lon:.6f},{to_lat:.6f}"
        answer = self._client.get(path, params={"overview": "false", "generate_hints": "false"})
        if answer.status_code not in (200, 400):
            answer.raise_for_status()
        content = answer.json()
        if content["code"] in ("NoRoute", "NoSegment"):
            return None
        if content["code"] != "Ok":
            raise ValueError(f"the server answers {content['code']}")
        if any(float(each["distance"]) > FAR_M for each in content["waypoints"]):
            return None
        route = content["routes"][0]
        return float(route["duration"]), float(route["distance"])


def by_road(
    find: Callable[[list[Coordinates]], list[Found]], lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats
) -> Ways:
    """What ``find`` knows, and of the others the straight line."""
    ways = list(zip(lat.tolist(), lon.tolist(), to_lat.tolist(), to_lon.tolist(), strict=True))
    found = find(ways)
    other = StraightLine().ways(lat, lon, to_lat, to_lon)
    return Ways(
        np.array([line if each is None else each[0] for each, line in zip(found, other.travel_s, strict=True)]),
        np.array([line if each is None else each[1] for each, line in zip(found, other.distance_m, strict=True)]),
        [line if each is None else NAME for each, line in zip(found, other.providers, strict=True)],
    )
