"""A report's rows, from the store to a page of JSON or to lines of CSV."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date
from typing import Any, Final

from api.http.problems import Problem
from api.http.spreadsheet import guarded, guarded_sql
from api.ports import History
from api.reports.promises import PromiseCount
from api.reports.registry import Report
from dispatch.rules import DispatchRules

MAX_ROWS: Final = 10_000
"""Of an answer in JSON."""

_JOBS_AT_ONCE: Final = 20_000
_LINES_AT_ONCE: Final = 2_000


async def rows_of(
    report: Report, parameters: dict[str, Any], history: History, rules: DispatchRules, now_ms: int
) -> list[list[Any]]:
    """All rows; raises Problem 400 for more than ``MAX_ROWS``, StoreUnavailable."""
    if report.by_job:
        found: Sequence[Sequence[Any]] = (await _counted(report, parameters, history, rules, now_ms)).rows()
    else:
        found = await history.report(f"SELECT * FROM ({report.sql}) LIMIT {MAX_ROWS + 1}", parameters)
    if len(found) > MAX_ROWS:
        raise Problem(
            400, "too_many_rows", f"there are more than {MAX_ROWS} rows; ask for less time, or for format=csv"
        )
    return [[each.isoformat() if isinstance(each, date) else each for each in row] for row in found]


async def lines_of(
    report: Report, parameters: dict[str, Any], history: History, rules: DispatchRules, now_ms: int
) -> AsyncIterator[bytes]:
    """CSV, names first, in pieces, in constant memory; raises StoreUnavailable."""
    if report.by_job:
        counted = await _counted(report, parameters, history, rules, now_ms)
        for some in _csv([column.name for column in report.columns], counted.rows()):
            yield some
        return
    shown = ", ".join(
        f"{guarded_sql(column.name)} AS {column.name}" if column.unit == "text" else column.name
        for column in report.columns
    )
    async for some in history.report_csv(f"SELECT {shown} FROM ({report.sql})", parameters):
        yield some


async def _counted(
    report: Report, parameters: dict[str, Any], history: History, rules: DispatchRules, now_ms: int
) -> PromiseCount:
    """The promises of all jobs, some thousand jobs at a time, counted off the event loop."""
    counted, after = PromiseCount(rules, now_ms), ""
    while True:
        rows = await history.report(report.sql, {**parameters, "after": after, "at_once": _JOBS_AT_ONCE})
        await asyncio.to_thread(counted.add, rows)
        if len(rows) < _JOBS_AT_ONCE:
            return counted
        after = rows[-1][0]


def _csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterable[bytes]:
    yield _lines([names])
    for start in range(0, len(rows), _LINES_AT_ONCE):
        yield _lines(rows[start : start + _LINES_AT_ONCE])


def _lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """As the store writes them: text in quotes, NULL as \\N."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for row in rows:
        writer.writerow([guarded(each) if isinstance(each, str) else each for each in row])
    return text.getvalue().encode()
