"""The reports: one literal table. docs/reports.md and ``GET /v1/reports`` show it."""

from dataclasses import dataclass
from typing import Final, Literal

from api.reports import queries

Name = Literal[
    "productivity", "punctuality", "on-site-time", "travel", "first-time-fix", "sla", "eta-accuracy", "satisfaction"
]
Unit = Literal["date", "text", "count", "s", "per h", "share", "stars"]


@dataclass(frozen=True)
class Column:
    """``unit``: ``s`` are seconds, a ``share`` is from 0 to 1, ``stars`` are from 1 to 5; null where there is nothing
    to say."""

    name: str
    unit: Unit
    about: str


@dataclass(frozen=True)
class Report:
    """``sql`` gives the rows; or, where ``by_job``, the jobs whose promises are counted here."""

    name: Name
    about: str
    sql: str
    columns: tuple[Column, ...]
    by_job: bool = False


_WHO: Final = (
    Column("day", "date", "by the tenant's clock (`time_zone` of the rules)"),
    Column("branch", "text", "the branch it belongs to"),
    Column("technician_id", "text", "who does it; empty where nobody is named"),
)

_REPORTS: Final = (
    Report(
        "productivity",
        "What was done, on the day it was. A job of several technicians counts for each of them.",
        queries.PRODUCTIVITY,
        (
            *_WHO,
            Column("jobs", "count", "jobs that are done"),
            Column("on_site_s", "s", "in which somebody was there"),
            Column("waiting_s", "s", "of these, before work began"),
            Column("travel_s", "s", "on the way there"),
            Column("jobs_per_h", "per h", "jobs by the hours on site and on the way"),
        ),
    ),
    Report(
        "punctuality",
        "Whether somebody came when it was promised, on the day the window ends; without jobs that were called off.",
        queries.PUNCTUALITY,
        (
            *_WHO,
            Column("jobs", "count", "jobs with a window that ends"),
            Column("on_time", "count", "somebody came before it ended"),
            Column("early", "count", "of these, before it began"),
            Column("late", "count", "somebody came after it ended"),
            Column("not_arrived", "count", "nobody has come yet"),
            Column("total_late_s", "s", "after the end, of those that were late"),
            Column("longest_late_s", "s", "the same of the latest one"),
        ),
    ),
    Report(
        "on-site-time",
        "Confirmed visits on the day of arrival, of those who hold the devices now. A device that nobody holds stands "
        "for itself.",
        queries.ON_SITE_TIME,
        (
            *_WHO,
            Column("visits", "count", "visits"),
            Column("job_visits", "count", "of these, for jobs"),
            Column("total_on_site_s", "s", "on site"),
            Column("total_on_site_min_s", "s", "at least"),
            Column("total_on_site_max_s", "s", "at most"),
            Column("job_on_site_s", "s", "on site at visits for jobs"),
            Column("longest_on_site_s", "s", "of the longest visit"),
        ),
    ),
    Report(
        "travel",
        "Ways to jobs, on the day of the first arrival.",
        queries.TRAVEL,
        (
            *_WHO,
            Column("jobs", "count", "jobs that somebody drove to"),
            Column("total_travel_s", "s", "on the way"),
            Column("mean_travel_s", "s", "for each job"),
            Column("longest_travel_s", "s", "for the farthest one"),
        ),
    ),
    Report(
        "first-time-fix",
        "Of what was wrong at sites, what was mended at the first visit, on the day it was completed: nobody left it "
        "incomplete before, and nobody came for the same fault (or kind of work) within `within_days` after.",
        queries.FIRST_TIME_FIX,
        (
            *_WHO,
            Column("complaints", "count", "completed jobs that say what they are for and are no repeats themselves"),
            Column("fixed", "count", "of these, at the first visit"),
            Column("rate", "share", "fixed of complaints"),
        ),
    ),
    Report(
        "sla",
        "The clocks of what is promised by priority, on the day the job was made, as they stand now.",
        queries.SLA_JOBS,
        (
            *_WHO,
            Column("priority", "text", "of the jobs"),
            Column("promise", "text", "response or resolution"),
            Column("clocks", "count", "all of them"),
            Column("met", "count", "kept"),
            Column("breached", "count", "missed, whether it was fulfilled later or not"),
            Column("running", "count", "neither yet"),
            Column("paused", "count", "the same, standing still"),
            Column("stopped", "count", "nobody waits for it any more"),
            Column("rate", "share", "met of met and breached"),
        ),
        by_job=True,
    ),
    Report(
        "eta-accuracy",
        "What was said of arrivals an hour, 30, 15 and 5 minutes before somebody came, on the day of the first "
        "arrival, by who was expected then.",
        queries.ETA_ACCURACY,
        (
            *_WHO,
            Column("before_s", "s", "so long before the arrival"),
            Column("arrivals", "count", "jobs of which an ETA stood then"),
            Column("held", "count", "of these, somebody came within its window"),
            Column("rate", "share", "held of arrivals"),
            Column("mean_error_s", "s", "between ETA and arrival"),
            Column("bias_s", "s", "the same with its sign; above 0 where it was said too late"),
            Column("mean_window_s", "s", "from the beginning of a window to its end"),
        ),
    ),
    Report(
        "satisfaction",
        "What customers said through their [links](tracking.md), on the day they said it last.",
        queries.SATISFACTION,
        (
            *_WHO,
            Column("ratings", "count", "jobs that were rated"),
            Column("mean_rating", "stars", "of these"),
            Column("satisfied", "share", "of these, those with 4 or 5 stars"),
            Column("low", "count", "those with 1 or 2 stars"),
            Column("low_comments", "text", "what was said with 1 or 2 stars, a line each, after the job's id"),
        ),
    ),
)

REPORTS: Final[dict[str, Report]] = {report.name: report for report in _REPORTS}
