"""What a geocoder has answered, kept in a file: the same address is not asked twice."""

import sqlite3
import threading
from pathlib import Path
from typing import Final

import msgspec
import structlog

from schemas.found_place import FoundPlace

_MOST: Final = 200_000
_TABLE: Final = "CREATE TABLE IF NOT EXISTS answer (asked TEXT PRIMARY KEY, at_s REAL, found BLOB) WITHOUT ROWID"

log = structlog.get_logger()


class KeptAnswers:
    """A SQLite file that several processes may share; where there can be none, this process's memory.

    ``now_s`` is the machine's time. Its methods may be called from any thread.
    """

    def __init__(self, path: Path, kept_s: float) -> None:
        self._kept_s = kept_s
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _opened(str(path))
        except (OSError, sqlite3.Error) as error:
            log.warning("answers of the geocoder are kept in memory alone", path=str(path), reason=str(error))
            self._db = _opened(":memory:")

    def get(self, asked: str, now_s: float) -> list[FoundPlace] | None:
        """What was answered, None where that is not known or too old."""
        with self._lock:
            row = self._db.execute("SELECT at_s, found FROM answer WHERE asked = ?", (asked,)).fetchone()
        if row is None or row[0] < now_s - self._kept_s:
            return None
        return msgspec.json.decode(row[1], type=list[FoundPlace])

    def put(self, asked: str, found: list[FoundPlace], now_s: float) -> None:
        """Keep an answer; the oldest give way."""
        with self._lock, self._db:
            self._db.execute("REPLACE INTO answer VALUES (?, ?, ?)", (asked, now_s, msgspec.json.encode(found)))
            self._db.execute("DELETE FROM answer WHERE at_s < ?", (now_s - self._kept_s,))
            [(count,)] = self._db.execute("SELECT count(*) FROM answer").fetchall()
            if count > _MOST:
                oldest = "DELETE FROM answer WHERE asked IN (SELECT asked FROM answer ORDER BY at_s LIMIT ?)"
                self._db.execute(oldest, (count - _MOST,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _opened(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=2.0, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(_TABLE)
    db.execute("CREATE INDEX IF NOT EXISTS by_age ON answer (at_s)")
    return db
