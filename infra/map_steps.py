"""What ``onsite map build`` makes of a map: a step for each file. Another kind of file is a line in ``STEPS``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from routing.addresses.build import build_addresses
from routing.addresses.geocoder import FILE_NAME
from routing.roads.build import RoadsUnavailableError, build_roads

Tell: TypeAlias = Callable[[str, int], None]
"""Is told a stage and how many things it has come through."""


def _addresses(source: Path, folder: Path, tell: Tell) -> dict[str, Any]:
    target = folder / FILE_NAME
    built = build_addresses(source, target, tell)
    return {"file": str(target), "houses": built.houses, "streets": built.streets, "towns": built.towns}


def _roads(source: Path, folder: Path, tell: Tell) -> dict[str, Any]:
    """Where OSRM cannot be had, addresses are worth having without roads: then the facts say why there are none."""
    try:
        return build_roads(source, folder, tell)
    except RoadsUnavailableError as error:
        return {"file": None, "missing": str(error)}


STEPS: Final[dict[str, Callable[[Path, Path, Tell], dict[str, Any]]]] = {
    "addresses": _addresses,
    "roads": _roads,
}
"""Each gets the map, the folder to write to, and whom to tell; gives what it has made.

Raises MapFileError or RoadsError.
"""
