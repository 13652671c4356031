"""The fences as they are edited."""

from collections.abc import Iterable
from typing import Final

import msgspec

from geofence.fences import GONE, FenceNames, FencePage, FencePages, FenceRow, FenceSet, Numbering
from geofence.index import FenceIndex
from schemas.fence import FenceRecord

PAGE_ROWS: Final = 1_024
"""So many rows an edit makes columns of again."""

MOST_GONE: Final = 1_024
"""Rows that are gone keep their numbers until they are more than these, and more than a quarter of all."""


class FenceBook:
    """The fences, a record each; ``snapshot`` gives the set as it is now.

    A fence is measured once, when it is put. Rows and fences keep their numbers from edit to edit, so that whoever
    knows an earlier set has only to look at what was edited since.
    """

    _names: FenceNames
    _pages: list[FencePage]

    def __init__(self, records: Iterable[FenceRecord] = ()) -> None:
        self._edition = 0
        self._begin([row for record in records for row in _measured(record)])

    def __len__(self) -> int:
        return len(self._rows_of)

    def put(self, record: FenceRecord) -> None:
        """Add a fence or replace it, with all its versions. Raises FenceError and changes nothing when one is wrong."""
        rows = _measured(record)
        self._edition += 1
        left = dict.fromkeys(self._rows_of.pop(record.fence_id, ()))
        numbers = self._rows_of[record.fence_id] = []
        for row in rows:
            known = next((number for number in left if _same_but_span(self._row(number), row)), None)
            if known is None:
                numbers.append(self._add(row))
                continue
            del left[known]
            numbers.append(known)
            if self._row(known).version != row.version:
                self._write(known, row)
        self._drop(left)

    def remove(self, fence_id: str) -> None:
        """Remove a fence with all its versions, if it is there."""
        self._edition += 1
        self._drop(self._rows_of.pop(fence_id, ()))

    def nearest(self, lat: float, lon: float, limit: int) -> list[str]:
        """Ids of the fences whose boxes are nearest, nearest first (by degrees: a first choice, not a distance)."""
        numbers = self._index.nearest(lat, lon, limit)
        return list(dict.fromkeys(self._row(number).fence_id for number in numbers))[:limit]

    def pages(self) -> FencePages:
        """The rows as they are now, for ``FenceSet.of_pages``."""
        if len(self._names.ids) < len(self._fence_numbers):
            self._names = FenceNames(tuple(self._fence_numbers))
        return FencePages(self._names, tuple(self._pages), self._numbering, self._edition)

    def snapshot(self) -> FenceSet:
        """The set as it is now."""
        return FenceSet.of_pages(self.pages())

    def _begin(self, rows: list[FenceRow]) -> None:
        """Number rows, and their fences, anew."""
        self._numbering = Numbering()
        self._fence_numbers = {fence_id: n for n, fence_id in enumerate(dict.fromkeys(row.fence_id for row in rows))}
        self._names = FenceNames(tuple(self._fence_numbers))
        self._rows_of: dict[str, list[int]] = {fence_id: [] for fence_id in self._fence_numbers}
        for number, row in enumerate(rows):
            self._rows_of[row.fence_id].append(number)
        self._pages = [self._page(rows[first : first + PAGE_ROWS]) for first in range(0, len(rows) or 1, PAGE_ROWS)]
        self._count, self._gone = len(rows), 0
        self._index = FenceIndex((number, row.shape.bounds) for number, row in enumerate(rows))

    def _page(self, rows: list[FenceRow]) -> FencePage:
        return FencePage(
            tuple(rows), tuple(self._fence_numbers[row.fence_id] for row in rows), (self._edition,) * len(rows)
        )

    def _row(self, number: int) -> FenceRow:
        return self._pages[number // PAGE_ROWS].rows[number % PAGE_ROWS]

    def _add(self, row: FenceRow) -> int:
        number = self._count
        self._fence_numbers.setdefault(row.fence_id, len(self._fence_numbers))
        self._write(number, row)
        self._index.insert(number, row.shape.bounds)
        self._count += 1
        return number

    def _write(self, number: int, row: FenceRow) -> None:
        """Let a row be ``row`` from this edition on."""
        at, place = divmod(number, PAGE_ROWS)
        if at == len(self._pages):
            self._pages.append(self._page([]))
        page, new = self._pages[at], self._page([row])
        self._pages[at] = FencePage(
            page.rows[:place] + new.rows + page.rows[place + 1 :],
            page.fence[:place] + new.fence + page.fence[place + 1 :],
            page.edited[:place] + new.edited + page.edited[place + 1 :],
        )

    def _drop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            row = self._row(number)
            self._index.delete(number, row.shape.bounds)
            self._write(number, row.without_it())
            self._gone += 1
        if self._gone > max(MOST_GONE, self._count // 4):
            self._begin([row for page in self._pages for row in page.rows if row.version.version != GONE])


def _measured(record: FenceRecord) -> list[FenceRow]:
    return [FenceRow.of(record.fence_id, version) for version in record.versions]


def _same_but_span(one: FenceRow, other: FenceRow) -> bool:
    """Whether two rows are the same version, but for when it holds."""
    own = msgspec.structs.replace(
        one.version, valid_from_ms=other.version.valid_from_ms, valid_to_ms=other.version.valid_to_ms
    )
    return own == other.version
