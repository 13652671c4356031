"""Addresses of a map: of a small one that is drawn here, and of Liechtenstein where that is at hand."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from routing.addresses.book import AddressBook
from routing.addresses.build import MapFileError, build_addresses
from routing.addresses.matching import verdict_on
from routing.straight_line import distances_m
from schemas.found_place import FoundPlace

osmium = pytest.importorskip("osmium")

LIECHTENSTEIN = Path(__file__).parents[3] / "shared/data/osm/liechtenstein-latest.osm.pbf"


def apart_m(lat: float, lon: float, place: FoundPlace) -> float:
    return float(distances_m(*(np.array(each) for each in (lat, lon, place.lat, place.lon))))


class Draft:
    """A map that is drawn: two towns 8 km apart, each with a Feldstrasse."""

    def __init__(self, path: Path) -> None:
        self._writer = osmium.SimpleWriter(str(path))
        self._node = 0
        self._ways: list[tuple[list[int], dict[str, str]]] = []

    def node(self, lat: float, lon: float, **tags: str) -> int:
        self._node += 1
        named = {name.replace("_", ":"): value for name, value in tags.items()}
        self._writer.add_node(osmium.osm.mutable.Node(id=self._node, location=(lon, lat), tags=named))
        return self._node

    def way(self, points: list[tuple[float, float]], **tags: str) -> None:
        named = {name.replace("_", ":"): value for name, value in tags.items()}
        self._ways.append(([self.node(*point) for point in points], named))

    def close(self) -> None:
        for number, (nodes, tags) in enumerate(self._ways, 1):
            self._writer.add_way(osmium.osm.mutable.Way(id=number, nodes=nodes, tags=tags))
        self._writer.close()


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AddressBook]:
    folder = tmp_path_factory.mktemp("map")
    draft = Draft(folder / "map.osm.pbf")
    for town, lat, code in (("Oberau", 47.10, "9001"), ("Niederau", 47.17, "9002")):
        draft.node(lat, 9.50, place="village", name=town)
        draft.way([(lat, 9.50), (lat, 9.504), (lat, 9.508)], highway="residential", name="Feldstraße")
        draft.node(lat + 0.0002, 9.501, addr_street="Feldstraße", addr_housenumber="1", addr_city=town)
        draft.node(lat + 0.0002, 9.503, addr_street="Feldstraße", addr_housenumber="3a", addr_postcode=code)
        draft.node(lat + 0.0002, 9.505, addr_street="Feldstraße", addr_housenumber="5", addr_city=town)
    square = [(47.1011, 9.4990), (47.1013, 9.4990), (47.1013, 9.4993), (47.1011, 9.4993), (47.1011, 9.4990)]
    draft.way(square, building="yes", addr_street="Im Äule", addr_housenumber="7;9")
    draft.way([(47.1010, 9.4985), (47.1010, 9.4995)], highway="residential", name="Im Äule")
    draft.node(47.1006, 9.4992, addr_street="Straße des 17. Juni", addr_housenumber="35")
    draft.node(47.11, 9.50, place="locality", name="Nirgendwo")
    draft.close()
    built = build_addresses(folder / "map.osm.pbf", folder / "addresses.sqlite")
    assert (built.houses, built.streets, built.towns) == (9, 4, 2)
    book = AddressBook(folder / "addresses.sqlite")
    yield book
    book.close()


def found(book: AddressBook, text: str) -> FoundPlace:
    status, place = verdict_on(book.search(text))
    assert place is not None, (text, status, book.search(text))
    return place


@pytest.mark.parametrize(
    "text",
    [
        "Feldstraße 1, Oberau",
        "oberau feldstr. 1",
        "1 Feldstrasse Oberau",
        "Feld Str 1, 9001 Oberau, Schweiz",
        "FELDSTRASSE 1, FL-9001 OBERAU",
        "Müller AG, Feldstrasse 1, 2. Stock, Oberau",
        "9001 Feldstrasse 1",
    ],
)
def test_a_house_by_every_way_to_write_it(book: AddressBook, text: str) -> None:
    place = found(book, text)
    assert (place.kind, place.label, place.source) == ("house", "Feldstraße 1, 9001 Oberau", "offline")
    assert apart_m(47.1002, 9.501, place) < 1.0
    assert place.precision_m == 10.0


def test_a_house_that_is_a_building_with_two_numbers(book: AddressBook) -> None:
    seven, nine = found(book, "Im Aeule 7"), found(book, "Äule 9 Oberau")
    assert apart_m(47.1012, 9.49915, seven) < 1.0
    assert (seven.lat, seven.lon) == (nine.lat, nine.lon)


def test_a_house_beside_the_one_that_is_asked_for(book: AddressBook) -> None:
    assert found(book, "Feldstrasse 3a Niederau").precision_m == 10.0
    beside = found(book, "Feldstrasse 1c Niederau")
    assert (beside.kind, beside.precision_m, beside.label) == ("house", 40.0, "Feldstraße 1, 9002 Niederau")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Wohnung 5, 1 Feldstrasse, Oberau", "Feldstraße 1, 9001 Oberau"),
        ("Top 1, Feldstrasse 5, Oberau", "Feldstraße 5, 9001 Oberau"),
        ("Strasse des 17. Juni 35", "Straße des 17. Juni 35, Oberau"),
        ("35 Str. des 17. Juni", "Straße des 17. Juni 35, Oberau"),
    ],
)
def test_the_number_is_the_one_beside_the_street(book: AddressBook, text: str, label: str) -> None:
    assert found(book, text).label == label


def test_a_street_is_its_middle_and_says_how_long_it_is(book: AddressBook) -> None:
    for text in ("Feldstrasse, Oberau", "Feldstrasse 99, Oberau"):
        street = found(book, text)
        assert street.kind == "street"
        assert apart_m(47.10, 9.504, street) < 1.0
        assert 290 < street.precision_m < 320


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Feldstrasse 1", "ambiguous"),
        ("Feldstrasse", "ambiguous"),
        ("Feldstrasse 1, Zürich", "not_found"),
        ("Feldstrasse 1, 8000", "not_found"),
        ("Feldweg 1, Oberau", "not_found"),
        ("Obere Feldstrasse 1, Oberau", "not_found"),
        ("Feldstrasse Nord 1, Oberau", "not_found"),
        ("Feld 1, Oberau", "not_found"),
        ("Oberau", "too_coarse"),
        ("Nirgendwo", "not_found"),
        ("Fel", "not_found"),
        ("", "not_found"),
        ('" OR *) NEAR(', "not_found"),
    ],
)
def test_what_nobody_can_say(book: AddressBook, text: str, status: str) -> None:
    assert verdict_on(book.search(text)) == (status, None)


def test_who_types_sees_streets_by_their_beginning(book: AddressBook) -> None:
    assert {place.label for place in book.search("feldst")} == {"Feldstraße, 9001 Oberau", "Feldstraße, 9002 Niederau"}
    assert not any(place.is_exact for place in book.search("feldst"))


def test_a_postcode_tells_streets_apart_however_many_are_called_alike(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "map.osm.pbf")
    for number in range(300):
        lat, town = 46.0 + 0.03 * number, f"Dorf{number}"
        draft.way([(lat, 9.5), (lat, 9.501)], highway="residential", name="Hauptstraße")
        code = f"{2000 + number}"
        draft.node(lat, 9.5, addr_street="Hauptstraße", addr_housenumber="3", addr_city=town, addr_postcode=code)
    draft.close()
    build_addresses(tmp_path / "map.osm.pbf", tmp_path / "addresses.sqlite")
    book = AddressBook(tmp_path / "addresses.sqlite")
    for number in (0, 150, 299):
        label = f"Hauptstraße 3, {2000 + number} Dorf{number}"
        assert found(book, f"Hauptstr. 3, {2000 + number}").label == label
        assert found(book, f"dorf{number} hauptstr. 3").label == label
    assert verdict_on(book.search("Hauptstr. 3"))[0] == "ambiguous"


def test_a_file_is_taken_up_when_it_is_built_anew(tmp_path: Path) -> None:
    target = tmp_path / "addresses.sqlite"
    book = AddressBook(target)
    assert not book.is_there()
    with pytest.raises(MapFileError, match="cannot be read"):
        book.search("x")
    for name in ("Alte Gasse", "Neue Gasse"):
        draft = Draft(tmp_path / f"{name}.osm.pbf")
        draft.way([(47.1, 9.5), (47.1, 9.501)], highway="residential", name=name)
        draft.close()
        build_addresses(tmp_path / f"{name}.osm.pbf", target)
        assert [place.label for place in book.search(name)] == [name]
    assert [path.name for path in tmp_path.glob("*.draft")] == []


@pytest.mark.parametrize("content", [b"no map", b""])
def test_a_map_that_is_none_leaves_the_file_as_it_was(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "addresses.sqlite"
    target.write_bytes(b"before")
    (tmp_path / "map.osm.pbf").write_bytes(content)
    with pytest.raises(MapFileError):
        build_addresses(tmp_path / "map.osm.pbf", target)
    assert target.read_bytes() == b"before"


def test_a_file_of_something_else_says_so(tmp_path: Path) -> None:
    target = tmp_path / "addresses.sqlite"
    target.write_bytes(b"no database, but long enough to be looked at" * 40)
    with pytest.raises(MapFileError, match="build the map again"):
        AddressBook(target).search("x")
    target.unlink()
    with sqlite3.connect(target) as db:
        db.execute("CREATE TABLE about (format INTEGER)")
        db.execute("INSERT INTO about VALUES (99)")
    with pytest.raises(MapFileError, match="another version"):
        AddressBook(target).search("x")


WAYS_TO_WRITE: dict[str, Callable[[str, str, str], str]] = {
    "as it is": lambda street, number, where: f"{street} {number}, {where}",
    "town first": lambda street, number, where: f"{where}, {street} {number}",
    "number first": lambda street, number, where: f"{number} {street}, {where}, Liechtenstein",
    "capitals": lambda street, number, where: f"{street} {number} {where}".upper(),
    "shortened": lambda street, number, where: f"{street} {number}, {where}".replace("strasse", "str."),
    "without umlauts": lambda street, number, where: (
        f"{street} {number} {where}".replace("ä", "ae").replace("ö", "oe").replace("ü", "ue").replace("ss", "ß")
    ),
    "dropped umlauts": lambda street, number, where: (
        f"{street} {number} {where}".replace("ä", "a").replace("ö", "o").replace("ü", "u")
    ),
}


@pytest.mark.skipif(not LIECHTENSTEIN.exists(), reason="no map of Liechtenstein at hand")
def test_addresses_of_a_country_are_found_where_they_are(tmp_path: Path) -> None:
    """Oracle: the map itself, read address by address."""
    build_addresses(LIECHTENSTEIN, tmp_path / "addresses.sqlite")
    book = AddressBook(tmp_path / "addresses.sqlite")
    places: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    stated = osmium.filter.KeyFilter("addr:housenumber")
    for thing in osmium.FileProcessor(str(LIECHTENSTEIN)).with_locations().with_filter(stated):
        tags = thing.tags
        if thing.is_relation() or "addr:street" not in tags or ";" in tags["addr:housenumber"]:
            continue
        corners = [thing.location] if thing.is_node() else [node.location for node in list(thing.nodes)[1:]]
        lat, lon = (sum(getattr(each, name) for each in corners) / len(corners) for name in ("lat", "lon"))
        if "addr:city" in tags:
            key = tags["addr:street"], tags["addr:housenumber"], tags["addr:city"]
            places.setdefault(key, []).append((lat, lon))
    sample = random.Random(7).sample(sorted(places), 150)
    for way, write in WAYS_TO_WRITE.items():
        errors_m = []
        for key in sample:
            status, place = verdict_on(book.search(write(*key)))
            assert place is not None, (way, write(*key), status)
            assert place.kind == "house", (way, write(*key), place)
            off_m = min(apart_m(*point, place) for point in places[key])
            assert off_m <= max(10.0, place.precision_m), (way, write(*key), place)
            errors_m.append(off_m)
        exact = sum(off_m < 1.0 for off_m in errors_m)
        print(f"{way}: {len(sample)} of {len(sample)} found, {exact} within 1 m, {max(errors_m):.1f} m at most")
        assert exact >= 0.95 * len(sample)
