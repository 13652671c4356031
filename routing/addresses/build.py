"""The addresses and streets of an ``.osm.pbf`` as one SQLite file that is searched by words."""

import math
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

from routing.addresses.words import numbers_of, words_of

FORMAT: Final = 1
"""Of the file: another one is refused."""

_TELL_EVERY: Final = 10_000
_HOUSE_M: Final = 10.0
_TOWN_M: Final = {"city": 5_000.0, "town": 2_500.0, "village": 1_500.0, "suburb": 1_500.0, "hamlet": 700.0}
"""How far places of a kind reach; what else is called a place names no town."""
_NAMES_WITHIN_M: Final = {"city": 15_000.0, "town": 6_000.0, "village": 4_000.0, "suburb": 3_000.0, "hamlet": 2_000.0}
"""How far away somebody may be who still names a place of this kind."""
_POSTAL: Final = ("city", "town", "village")
"""What people write under a street; a suburb or a hamlet only where there is nothing else."""
_SAME_STREET_M: Final = 1_500.0
"""What is called alike and nearer than this is one street."""
_M_PER_DEGREE: Final = 111_195.0

_TABLES: Final = """
CREATE TABLE about (format INTEGER, map TEXT, built_at_s REAL, houses INTEGER, streets INTEGER, towns INTEGER);
CREATE TABLE entry (
    id INTEGER PRIMARY KEY, kind TEXT, name TEXT, town TEXT, postcode TEXT, lat REAL, lon REAL, precision_m REAL,
    street_words TEXT, town_words TEXT, around_words TEXT, postcodes TEXT
);
CREATE TABLE house (
    entry INTEGER, number TEXT, stated TEXT, lat REAL, lon REAL, precision_m REAL, PRIMARY KEY (entry, number)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5 (words, content='', tokenize='ascii');
CREATE TABLE raw (street_key TEXT, street TEXT, town TEXT, postcode TEXT, number TEXT, lat REAL, lon REAL);
"""


class MapFileError(ValueError):
    """A map that cannot be used; the message says why."""


@dataclass(frozen=True)
class Built:
    """What there is in a file of addresses."""

    houses: int
    streets: int
    towns: int


class _Raw(NamedTuple):
    """A house, or (``number`` None) a point on a road, as the map has it."""

    street_key: str
    street: str
    town: str | None
    postcode: str | None
    number: str | None
    lat: float
    lon: float


@dataclass(frozen=True)
class _Town:
    name: str
    kind: str
    lat: float
    lon: float


def build_addresses(source: Path, target: Path, tell: Callable[[str, int], None] = lambda *_: None) -> Built:
    """Write the addresses of a map to ``target``, which appears when it is whole; one that was there stays till then.

    ``tell`` is told a stage and how far it is. Raises MapFileError for a map that cannot be read or
    has no streets, and where the file cannot be written.
    """
    draft = target.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(draft)) as db, db:
            db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_TABLES}")
            towns = _read(source, db, tell)
            built = _arrange(db, towns, tell)
            if not built.streets:
                raise MapFileError(f"{source}: there is no street with a name on this map")
            db.execute("DROP TABLE raw")
            facts = (FORMAT, source.name, time.time(), built.houses, built.streets, built.towns)
            db.execute("INSERT INTO about VALUES (?, ?, ?, ?, ?, ?)", facts)
            db.commit()
            db.execute("VACUUM")
        draft.replace(target)
    except sqlite3.Error as error:
        raise MapFileError(f"{target}: cannot be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return built


def _read(source: Path, db: sqlite3.Connection, tell: Callable[[str, int], None]) -> list[_Town]:
    """Put the houses and roads of a map into ``raw``; its towns."""
    try:
        import osmium
    except ImportError as error:
        raise MapFileError("reading a map needs osmium: install Onsite with its extra `road`") from error
    towns: list[_Town] = []
    has_address = osmium.filter.KeyFilter("addr:housenumber")
    wanted = osmium.filter.KeyFilter("addr:housenumber", "highway", "place")
    try:
        objects: Any = osmium.FileProcessor(str(source)).with_locations().with_areas(has_address).with_filter(wanted)
        for count, thing in enumerate(objects):
            if count % _TELL_EVERY == 0:
                tell("reading the map", count)
            tags = thing.tags
            if thing.is_node() and tags.get("place") in _TOWN_M and "name" in tags:
                towns.append(_Town(tags["name"], tags["place"], thing.location.lat, thing.location.lon))
            if "addr:housenumber" in tags:
                db.executemany("INSERT INTO raw VALUES (?, ?, ?, ?, ?, ?, ?)", _houses(thing))
            elif thing.is_way() and "highway" in tags and "name" in tags:
                db.executemany("INSERT INTO raw VALUES (?, ?, ?, ?, ?, ?, ?)", _road(thing))
    except RuntimeError as error:
        raise MapFileError(f"{source}: {error}") from error
    return towns


def _houses(thing: Any) -> Iterator[_Raw]:
    tags = thing.tags
    street = tags.get("addr:street") or tags.get("addr:place")
    key = " ".join(words_of(street or ""))
    if not key or street is None:
        return
    if thing.is_node():
        points = [thing.location]
    elif thing.is_way():
        points = [each.location for each in thing.nodes if each.location.valid()]
    elif thing.is_area() and not thing.from_way():
        points = [each.location for ring in thing.outer_rings() for each in ring if each.location.valid()]
    else:
        return  # the way that an area was made of has been read
    if len(points) > 1 and (points[0].lat, points[0].lon) == (points[-1].lat, points[-1].lon):
        points = points[1:]
    if not points:
        return
    lat, lon = (sum(getattr(each, name) for each in points) / len(points) for name in ("lat", "lon"))
    for number in numbers_of(tags["addr:housenumber"]):
        yield _Raw(key, street, tags.get("addr:city"), tags.get("addr:postcode"), number, lat, lon)


def _road(way: Any) -> Iterator[_Raw]:
    """Its ends and three points between."""
    name = way.tags["name"]
    key = " ".join(words_of(name))
    points = [each.location for each in way.nodes if each.location.valid()]
    if not key or not points:
        return
    for index in sorted({round(part * (len(points) - 1) / 4) for part in range(5)}):
        yield _Raw(key, name, None, None, None, points[index].lat, points[index].lon)


class _Grid:
    """Things by where they are, to find those nearby."""

    def __init__(self, cell_m: float) -> None:
        self._cell = cell_m / _M_PER_DEGREE
        self._cells: dict[tuple[int, int], list[tuple[float, float, Any]]] = {}

    def put(self, lat: float, lon: float, thing: Any) -> None:
        """Add."""
        self._cells.setdefault(self._place(lat, lon), []).append((lat, lon, thing))

    def near(self, lat: float, lon: float) -> list[tuple[float, Any]]:
        """Things by distance in metres, all those within a cell's size."""
        row, column = self._place(lat, lon)
        cells = [(row + up, column + right) for up in (-1, 0, 1) for right in (-1, 0, 1)]
        found = [(_apart_m(lat, lon, a, b), thing) for cell in cells for a, b, thing in self._cells.get(cell, ())]
        return sorted(found, key=lambda each: each[0])

    def _place(self, lat: float, lon: float) -> tuple[int, int]:
        row = math.floor(lat / self._cell)
        wide = math.cos(math.radians(row * self._cell))
        return row, math.floor(lon * max(wide, 0.01) / self._cell)


def _apart_m(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Flat: for places of one town."""
    x = (lon_b - lon_a) * math.cos(math.radians((lat_a + lat_b) / 2))
    return _M_PER_DEGREE * math.hypot(lat_b - lat_a, x)


def _arrange(db: sqlite3.Connection, towns: list[_Town], tell: Callable[[str, int], None]) -> Built:
    """Make entries of what was read: a street in a town each."""
    near = _Grid(max(_NAMES_WITHIN_M.values()))
    for town in towns:
        near.put(town.lat, town.lon, town)
    writer = _Writer(db, near)
    rows = db.execute("SELECT * FROM raw ORDER BY street_key, rowid")
    for count, (_, alike) in enumerate(groupby(map(_Raw._make, rows), key=lambda row: row.street_key)):
        if count % 1_000 == 0:
            tell("arranging streets", count)
        writer.streets_called_alike(list(alike))
    for town in towns:
        writer.town(town)
    return Built(writer.houses, writer.streets, len(towns))


class _Writer:
    def __init__(self, db: sqlite3.Connection, towns: _Grid) -> None:
        self._db = db
        self._towns = towns
        self.houses = 0
        self.streets = 0

    def streets_called_alike(self, rows: list[_Raw]) -> None:
        """What is called alike is a street in each town."""
        stated = _Grid(_SAME_STREET_M)
        for row in rows:
            if row.town:
                stated.put(row.lat, row.lon, row.town)
        by_town: dict[str, list[_Raw]] = {}
        for row in rows:
            near = stated.near(row.lat, row.lon)
            town = row.town or (near[0][1] if near and near[0][0] < _SAME_STREET_M else self._town_at(row.lat, row.lon))
            by_town.setdefault(town, []).append(row)
        for town, of_town in by_town.items():
            self._street(town, of_town)

    def _town_at(self, lat: float, lon: float) -> str:
        """The town that one is in: the one of whose reach one is the deepest within."""
        near = self._towns.near(lat, lon)
        near = [each for each in near if each[1].kind in _POSTAL] or near
        return min(near, key=lambda each: each[0] / _TOWN_M[each[1].kind])[1].name if near else ""

    def _street(self, town: str, rows: list[_Raw]) -> None:
        roads = [row for row in rows if row.number is None] or rows
        lat, lon = (sum(getattr(row, name) for row in roads) / len(roads) for name in ("lat", "lon"))
        middle = min(roads, key=lambda row: _apart_m(lat, lon, row.lat, row.lon))
        reach_m = max(_apart_m(middle.lat, middle.lon, row.lat, row.lon) for row in rows)
        postcodes = Counter(row.postcode for row in rows if row.postcode)
        name = Counter(row.street for row in rows).most_common(1)[0][0]
        postcode = postcodes.most_common(1)[0][0] if postcodes else ""
        place = middle.lat, middle.lon, round(max(30.0, reach_m), 1)
        entry = self._entry("street", name, town, postcode, place, rows[0].street_key, list(postcodes))
        self.streets += 1
        numbered = sorted((row for row in rows if row.number is not None), key=lambda row: row.number or "")
        for number, alike in groupby(numbered, key=lambda row: row.number):
            first, *others = list(alike)
            spread_m = max((_apart_m(first.lat, first.lon, each.lat, each.lon) for each in others), default=0.0)
            house = entry, number, number, first.lat, first.lon, round(max(_HOUSE_M, spread_m), 1)
            self._db.execute("INSERT INTO house VALUES (?, ?, ?, ?, ?, ?)", house)
            self.houses += 1

    def town(self, town: _Town) -> None:
        """A town is an entry as well: who names no street is shown it."""
        place = town.lat, town.lon, _TOWN_M[town.kind]
        self._entry("place", town.name, "", "", place, " ".join(words_of(town.name)), [])

    def _entry(
        self,
        kind: str,
        name: str,
        town: str,
        postcode: str,
        place: tuple[float, float, float],
        key: str,
        postcodes: list[str],
    ) -> int:
        town_words = words_of(town)
        near = self._towns.near(place[0], place[1])
        named = [each.name for apart_m, each in near if apart_m < _NAMES_WITHIN_M[each.kind]]
        around = sorted({word for each in named for word in words_of(each)} - set(town_words))
        codes = sorted({word for each in postcodes for word in words_of(each)})
        texts = key, " ".join(town_words), " ".join(around) if kind == "street" else "", " ".join(codes)
        row = (kind, name, town, postcode, *place, *texts)
        cursor = self._db.execute(
            "INSERT INTO entry (kind, name, town, postcode, lat, lon, precision_m, street_words, town_words, "
            "around_words, postcodes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        entry = int(cursor.lastrowid or 0)
        self._db.execute("INSERT INTO search (rowid, words) VALUES (?, ?)", (entry, " ".join(texts)))
        return entry
