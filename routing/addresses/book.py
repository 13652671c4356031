"""Looking addresses up in the file that ``build`` has made."""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from routing.addresses.build import FORMAT, MapFileError
from routing.addresses.matching import Asked, Entry, Fit, best_first, fit_of
from routing.addresses.words import without_letter
from schemas.found_place import FoundPlace

_LOOKED_AT: Final = 200
"""Entries that share a word with what is asked for, the best of them."""
_BESIDE_M: Final = 40.0
"""How far a house may be from the one of its number without the letter."""

_FOUND: Final = """
SELECT id, kind, name, town, postcode, lat, lon, precision_m, street_words, town_words, around_words, entry.postcodes
FROM search JOIN entry ON entry.id = search.rowid WHERE search MATCH ? ORDER BY search.rank LIMIT ?
"""


class AddressBook:
    """One file; every method may be called from any thread. A file that is built anew is taken up by itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._stamp: tuple[int, int] | None = None

    def is_there(self) -> bool:
        """Whether there is a file."""
        return self._path.is_file()

    def search(self, text: str, limit: int = 5) -> list[FoundPlace]:
        """Candidates for an address, the best first. Raises MapFileError for a file that is none."""
        asked = Asked.of(text)
        with self._lock:
            try:
                return self._found(asked, limit)
            except sqlite3.DatabaseError as error:
                self._close()
                raise MapFileError(f"{self._path}: {error}; build the map again") from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._close()

    def _found(self, asked: Asked, limit: int) -> list[FoundPlace]:
        telling = asked.telling or list(asked.words)
        if not telling:
            return []
        terms = [f'"{each}"' for each in telling] + [f'"{each}"*' for each in asked.begun]
        db = self._opened()
        found: list[tuple[Fit, FoundPlace]] = []
        for row in db.execute(_FOUND, (" OR ".join(terms), _LOOKED_AT)):
            found += self._judged(db, asked, row)
        found = [each for each in found if each[0].street]
        if any(place.kind != "place" for _, place in found):
            found = [each for each in found if each[1].kind != "place"]
        return best_first(found)[:limit]

    def _judged(self, db: sqlite3.Connection, asked: Asked, row: tuple) -> list[tuple[Fit, FoundPlace]]:  # type: ignore[type-arg]
        entry, kind, name, town, postcode, lat, lon, precision_m, *texts = row
        words = Entry(*(text.split() for text in texts))
        where = " ".join(filter(None, (postcode, town)))
        house = None if kind == "place" else self._house(db, entry, asked.numbers_beside(words.street))
        if house is not None:
            asked_number, number, lat, lon, precision_m = house
            label = ", ".join(filter(None, (f"{name} {number}", where)))
            place = FoundPlace(label, lat, lon, "house", precision_m, "offline", is_exact=False)
            return [(fit_of(asked, words, asked_number), place)]
        label = ", ".join(filter(None, (name, where)))
        return [(fit_of(asked, words, None), FoundPlace(label, lat, lon, kind, precision_m, "offline", is_exact=False))]

    def _house(
        self, db: sqlite3.Connection, entry: int, numbers: Sequence[str]
    ) -> tuple[str, str, float, float, float] | None:
        """The house of a street by one of these numbers: which one, its own number, place and precision."""
        for number in numbers:
            for stated in dict.fromkeys((number, without_letter(number))):
                sql = "SELECT stated, lat, lon, precision_m FROM house WHERE entry = ? AND number = ?"
                row = db.execute(sql, (entry, stated)).fetchone()
                if row is not None:
                    told, lat, lon, precision_m = row
                    return number, told, lat, lon, precision_m if stated == number else max(precision_m, _BESIDE_M)
        return None

    def _opened(self) -> sqlite3.Connection:
        """The file as it is now."""
        try:
            status = self._path.stat()
        except OSError as error:
            raise MapFileError(f"{self._path}: cannot be read: {error.strerror}") from error
        stamp = status.st_ino, status.st_mtime_ns
        if self._db is None or stamp != self._stamp:
            self._close()
            db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, check_same_thread=False)
            self._db, self._stamp = db, stamp
            [(version,)] = db.execute("SELECT format FROM about").fetchall()
            if version != FORMAT:
                raise MapFileError(f"{self._path}: made by another version; build the map again")
        return self._db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
