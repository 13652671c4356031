"""Reports: what was done, when, how soon and how well; by technician, branch and day."""

from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response, StreamingResponse

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer, ReportAnswer, ReportColumn, ReportsAnswer, ReportSummary
from api.http.parameters import From, To
from api.http.problems import Problem
from api.reports.answer import lines_of, rows_of
from api.reports.parameters import ReportQuery, parameters_of
from api.reports.registry import REPORTS, Report
from api.services import Reach, Services
from schemas.times import Instant

router = APIRouter(tags=["reports"])

_DAY_MS: Final = 86_400_000
USUAL_DAYS: Final = 31

Reader = Annotated[Scope, Depends(scoped("reports:read"))]


@router.get(
    "/v1/reports",
    summary="List reports",
    responses=examples.answers(200, "All there are, with their columns", "ReportsAnswer", examples.reports.REPORTS),
)
async def list_reports(_scope: Reader) -> JSONAnswer:
    """What each says, and in which units."""
    return JSONAnswer(ReportsAnswer([_summary(report) for report in REPORTS.values()]))


@router.get(
    "/v1/reports/{name}",
    summary="One report",
    responses=examples.reports.REPORT,
)
async def get_report(
    services: Reach,
    scope: Reader,
    name: Annotated[str, Path(description="one of `GET /v1/reports`")],
    from_ms: From = None,
    to_ms: To = None,
    branch: Annotated[str | None, Query(description="of this branch, or of one within it")] = None,
    within_days: Annotated[
        float, Query(gt=0, le=3_660, description="of `first-time-fix`: who comes again so soon has not mended it")
    ] = 30.0,
    form: Annotated[Literal["json", "csv"], Query(alias="format", description="`csv` has no limit of rows")] = "json",
) -> Response:
    """Of a time, by default the 31 days up to now; rows by day, branch and technician. JSON has 10,000 at most."""
    report = REPORTS.get(name)
    if report is None:
        known = list(REPORTS)
        raise Problem(404, "unknown_report", f"there is no report {name!r}, but {', '.join(known)}", reports=known)
    query = _query(services, scope.narrowed(branch), from_ms, to_ms, within_days)
    rules = services.dispatch_rules
    parameters = parameters_of(query, rules.lifecycle(), rules.time_zone)
    asked = report, parameters, services.history, rules, services.clock.now_ms()
    if form == "json":
        rows = await rows_of(*asked)
        columns = _summary(report).columns
        return JSONAnswer(
            ReportAnswer(report.name, Instant(query.from_ms), Instant(query.to_ms), rules.time_zone, columns, rows)
        )
    lines = lines_of(*asked)
    first = await anext(lines, b"")  # what the store refuses is answered as a problem, before the first line
    headers = {"Content-Disposition": f'attachment; filename="{report.name}.csv"'}
    return StreamingResponse(_following(first, lines), media_type="text/csv; charset=utf-8", headers=headers)


async def _following(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for some in lines:
        yield some


def _query(services: Services, scope: Scope, from_ms: int | None, to_ms: int | None, within_days: float) -> ReportQuery:
    ends_ms = services.clock.now_ms() if to_ms is None else to_ms
    begins_ms = ends_ms - USUAL_DAYS * _DAY_MS if from_ms is None else from_ms
    if not begins_ms < ends_ms:
        raise Problem(400, "invalid_request", "a report is of a time that ends after it begins")
    return ReportQuery(begins_ms, ends_ms, scope.branches_within(), within_days)


def _summary(report: Report) -> ReportSummary:
    columns = [ReportColumn(column.name, column.unit, column.about) for column in report.columns]
    return ReportSummary(report.name, report.about, columns)
