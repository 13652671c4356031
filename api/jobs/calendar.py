"""A technician's jobs as a calendar, RFC 5545. Pure."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from dispatch.delay import CALLED_OFF
from dispatch.lifecycle import Lifecycle
from schemas.job import JobRecord, Priority

_DAY_MS: Final = 86_400_000
BACK_MS: Final = 30 * _DAY_MS
AHEAD_MS: Final = 180 * _DAY_MS
"""Which jobs it has: those that end after, and begin before that."""

_USUAL_MS: Final = 3_600_000
"""Of a job of which only one end of the window is stated, and no duration."""

_PRIORITIES: Final[dict[Priority, int]] = {"emergency": 1, "high": 3, "normal": 5, "low": 9}
_ESCAPED: Final = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
_MAX_OCTETS: Final = 75
_LAST_MS: Final = 253_402_300_799_000
"""The end of the year 9999: calendars know no later."""


def calendar_of(name: str, jobs: Iterable[JobRecord], lifecycle: Lifecycle, now_ms: int) -> bytes:
    """The calendar of somebody's jobs (``name`` is theirs, for people); the same jobs give the same bytes."""
    spans = ((span, job) for job in jobs if (span := _span_of(job)) is not None)
    shown = [each for each in spans if each[0][1] > now_ms - BACK_MS and each[0][0] < now_ms + AHEAD_MS]
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Onsite//Jobs//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_text(name)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT15M",
        "X-PUBLISHED-TTL:PT15M",
    ]
    for span, job in sorted(shown, key=lambda each: (each[0], each[1].job_id)):
        lines += _event(job, span, lifecycle)
    return b"".join(_folded(line) for line in (*lines, "END:VCALENDAR"))


def _span_of(job: JobRecord) -> tuple[int, int] | None:
    """From when to when it is; None for a job that nobody has promised."""
    lasts_ms = _USUAL_MS if job.duration_s is None else max(1_000, round(1_000 * job.duration_s))
    begins_ms, ends_ms = job.window_from_ms, job.window_to_ms
    if begins_ms is None:
        return None if ends_ms is None else (max(0, ends_ms - lasts_ms), int(ends_ms))
    return int(begins_ms), int(ends_ms) if ends_ms is not None else begins_ms + lasts_ms


def _event(job: JobRecord, span: tuple[int, int], lifecycle: Lifecycle) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{_text(job.job_id)}@onsite"
    yield f"SEQUENCE:{job.revision}"
    yield f"DTSTAMP:{_moment(job.updated_at)}"
    yield f"CREATED:{_moment(job.created_at)}"
    yield f"LAST-MODIFIED:{_moment(job.updated_at)}"
    yield f"DTSTART:{_moment(span[0])}"
    yield f"DTEND:{_moment(max(span[1], span[0] + 1_000))}"
    yield f"SUMMARY:{_text(job.title or job.job_id)}"
    if job.address:
        yield f"LOCATION:{_text(job.address)}"
    if job.lat is not None and job.lon is not None:
        yield f"GEO:{job.lat:.6f};{job.lon:.6f}"
    if job.notes:
        yield f"DESCRIPTION:{_text(job.notes)}"
    yield f"PRIORITY:{_PRIORITIES[job.priority]}"
    yield f"STATUS:{'CANCELLED' if lifecycle.like(job.state) in CALLED_OFF else 'CONFIRMED'}"
    yield "END:VEVENT"


def _moment(epoch_ms: int) -> str:
    return datetime.fromtimestamp(min(max(epoch_ms, 0), _LAST_MS) // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(text: str) -> str:
    """As a value: line breaks and what separates values escaped, other control characters left out."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(each for each in plain if each in "\n\t" or (each >= " " and each != "\x7f")).translate(_ESCAPED)


def _folded(line: str) -> bytes:
    """A line in pieces of 75 octets at most, none of which ends within a character."""
    pieces, piece, size = [], "", 0
    for each in line:
        octets = len(each.encode(errors="replace"))
        if size + octets > _MAX_OCTETS:
            pieces.append(piece)
            piece, size = " ", 1
        piece, size = piece + each, size + octets
    return "\r\n".join([*pieces, piece]).encode(errors="replace") + b"\r\n"
