"""What Nominatim and Photon are asked, and their answers as candidates. One entry a kind of server. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from routing.addresses.matching import Asked, Entry, best_first, fit_of
from routing.addresses.words import numbers_of, words_of
from routing.straight_line import distances_m
from schemas.found_place import FoundPlace, PlaceKind, PlaceSource

_M: Final[dict[PlaceKind, float]] = {"house": 10.0, "street": 30.0, "place": 500.0}
"""No result is said to be more precise."""
_TOWNS: Final = ("city", "town", "village", "municipality", "hamlet")
_AROUND: Final = ("suburb", "district", "locality", "county", "state", "country", "city_district", "neighbourhood")


class Server(NamedTuple):
    """``path`` is below the address in the settings; ``read`` raises ValueError, KeyError or TypeError for what is no
    answer."""

    path: str
    parameters: Callable[[str, int], dict[str, str]]
    read: Callable[[Any, str], list[FoundPlace]]


class _Result(NamedTuple):
    """An answer's item: ``named`` is the street, the town or the thing of this name that it is."""

    kind: PlaceKind
    named: str
    number: str | None
    label: str
    lat: float
    lon: float
    box: tuple[float, float, float, float] | None
    """South, west, north, east."""
    address: Mapping[str, Any]


def _candidates(results: Sequence[_Result], text: str, source: PlaceSource) -> list[FoundPlace]:
    asked = Asked.of(text)
    found = []
    for each in results:
        if not (-90 <= each.lat <= 90 and -180 <= each.lon <= 180):
            raise ValueError(f"({each.lat}, {each.lon}) is no point on the globe")
        number = next((number for number in numbers_of(each.number or "") if number in asked.words), None)
        town = next((str(each.address[name]) for name in _TOWNS if each.address.get(name)), "")
        around = [word for name in (*_TOWNS, *_AROUND) for word in words_of(str(each.address.get(name) or ""))]
        postcodes = words_of(str(each.address.get("postcode") or ""))
        fit = fit_of(asked, Entry(words_of(each.named), words_of(town), around, postcodes), number)
        precision_m = round(max(_M[each.kind], 0.0 if each.kind == "house" else _reach_m(each.box)), 1)
        found.append((fit, FoundPlace(each.label, each.lat, each.lon, each.kind, precision_m, source, is_exact=False)))
    return best_first(found)


def _reach_m(box: tuple[float, float, float, float] | None) -> float:
    """From the middle of a box to its corner."""
    if box is None or not all(math.isfinite(each) for each in box):
        return 0.0
    south, west, north, east = box
    return float(distances_m(south, west, north, east)) / 2  # type: ignore[arg-type]


_NOMINATIM_KINDS: Final[dict[str, PlaceKind]] = {"place": "place", "boundary": "place", "highway": "street"}
"""By category; whatever else has a name, a shop or a school, is as good as a house."""


def _nominatim_parameters(text: str, limit: int) -> dict[str, str]:
    return {"q": text, "format": "jsonv2", "addressdetails": "1", "limit": str(limit)}


def _read_nominatim(answer: Any, text: str) -> list[FoundPlace]:
    results = []
    for each in answer:
        address = each.get("address") or {}
        number, category = address.get("house_number"), each.get("category")
        kind: PlaceKind = "house" if number else _NOMINATIM_KINDS.get(str(category), "house")
        road = address.get("road") or address.get("pedestrian") or address.get("place")
        named = road if number and road else each.get("name") or road or each["display_name"].partition(",")[0]
        south, north, west, east = (float(value) for value in each["boundingbox"])
        point = float(each["lat"]), float(each["lon"])
        box = south, west, north, east
        results.append(_Result(kind, str(named), number, str(each["display_name"]), *point, box, address))
    return _candidates(results, text, "nominatim")


def _photon_parameters(text: str, limit: int) -> dict[str, str]:
    return {"q": text, "limit": str(limit)}


_PHOTON_KINDS: Final[dict[str, PlaceKind]] = {"house": "house", "street": "street"}


def _read_photon(answer: Any, text: str) -> list[FoundPlace]:
    results = []
    for each in answer["features"]:
        about = each["properties"]
        lon, lat = (float(value) for value in each["geometry"]["coordinates"][:2])
        number = about.get("housenumber")
        kind = "house" if number else _PHOTON_KINDS.get(str(about.get("type")), "place")
        named = about.get("street") if number else about.get("name") or about.get("street")
        extent = about.get("extent")
        box = None if extent is None else (extent[3], extent[0], extent[1], extent[2])
        first = " ".join(str(part) for part in (named, number) if part)
        where = " ".join(str(about[name]) for name in ("postcode", "city") if about.get(name))
        label = ", ".join(filter(None, (first, where, about.get("country"))))
        results.append(_Result(kind, str(named or ""), number, label, lat, lon, box, about))
    return _candidates(results, text, "photon")


SERVERS: Final[dict[str, Server]] = {
    "nominatim": Server("search", _nominatim_parameters, _read_nominatim),
    "photon": Server("api", _photon_parameters, _read_photon),
}
"""By the word that stands before the ``+`` of ``ONSITE_GEOCODER``."""
