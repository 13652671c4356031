"""Reports."""

from typing import Final

from api.examples.describing import answers

_REPORT_COLUMNS: Final = [
    {"name": "day", "unit": "date", "about": "by the tenant's clock (`time_zone` of the rules)"},
    {"name": "jobs", "unit": "count", "about": "jobs that are done"},
]

REPORTS: Final = {
    "items": [{"name": "productivity", "about": "What was done, on the day it was.", "columns": _REPORT_COLUMNS}]
}

_REPORT_ANSWER: Final = {
    "name": "productivity",
    "from": "2026-03-01T00:00:00.000Z",
    "to": "2026-04-01T00:00:00.000Z",
    "time_zone": "Europe/London",
    "columns": _REPORT_COLUMNS,
    "rows": [["2026-03-02", 7]],
}

REPORT: Final = answers(200, "Rows, or lines of CSV", "ReportAnswer", _REPORT_ANSWER, 400, 404, 503)

REPORT[200]["content"]["text/csv"] = {"schema": {"type": "string"}, "example": '"day","jobs"\n"2026-03-02",7\n'}
