"""What reports ask the store, in SQL. Every value is a bound parameter: those of ``parameters.py``.

A moment counts for a report where it lies in [``from_ms``, ``to_ms``); its day is that of the clock ``zone``.
"""

from typing import Final

_FROM: Final = "fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')"
_TO: Final = "fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')"
_OF_BRANCHES: Final = "({all_branches:UInt8} OR has({branches:Array(String)}, ifNull(branch, '')))"
_TECHNICIAN: Final = "arrayJoin(if(empty(technician_ids), [''], technician_ids)) AS technician_id"
_GROUPS: Final = "GROUP BY day, branch, technician_id ORDER BY day, branch, technician_id"


def _within(moment: str) -> str:
    return f"{moment} >= {_FROM} AND {moment} < {_TO}"


def _day(moment: str) -> str:
    return f"toDate(assumeNotNull({moment}), {{zone:String}}) AS day"


def _first(states: str) -> str:
    """When a log first came to one of some states; NULL where it never did."""
    index = f"arrayFirstIndex(each -> {states}, log_state)"
    return f"if({index} = 0, NULL, log_at[{index}])"


_HAS_ARRIVED: Final = "NOT has({not_arrived:Array(String)}, each)"
_IS_DONE: Final = "has({done:Array(String)}, each)"

_ARRIVED_AT: Final = _first(_HAS_ARRIVED)

_DONE_AT: Final = f"log_at[arrayLastIndex(each -> NOT {_IS_DONE}, log_state) + 1]"
"""Since when a job is done that is."""

_IN_TIME_FROM: Final = """
greatest(
    arrayLastIndex(each -> has({waiting:Array(String)}, each), log_state),
    arrayLastIndex(
        (each, at) -> has({left:Array(String)}, each) AND at < ifNull(window_from, toDateTime64(0, 3, 'UTC')),
        log_state, log_at
    )
)"""
"""The entry after which an arrival is one for the promised window (``dispatch.delay``)."""

PRODUCTIVITY: Final = f"""
SELECT
    {_day("done_at")}, branch, {_TECHNICIAN},
    count() AS jobs,
    sum(ifNull(on_site_s, 0)) AS on_site_s,
    sum(ifNull(waiting_s, 0)) AS waiting_s,
    sum(ifNull(travel_s, 0)) AS travel_s,
    if(on_site_s + travel_s > 0, 3600 * jobs / (on_site_s + travel_s), NULL) AS jobs_per_h
FROM (
    SELECT branch, technician_ids, on_site_s, waiting_s, travel_s, {_DONE_AT} AS done_at
    FROM jobs FINAL
    WHERE has({{done:Array(String)}}, state) AND {_OF_BRANCHES}
)
WHERE {_within("done_at")}
{_GROUPS}
"""

PUNCTUALITY: Final = f"""
SELECT
    {_day("window_to")}, branch, {_TECHNICIAN},
    count() AS jobs,
    countIf(arrived_at <= window_to) AS on_time,
    countIf(arrived_at < window_from) AS early,
    countIf(arrived_at > window_to) AS late,
    countIf(arrived_at IS NULL) AS not_arrived,
    sum(late_s) AS total_late_s,
    max(late_s) AS longest_late_s
FROM (
    SELECT
        branch, technician_ids, window_from, window_to, {_IN_TIME_FROM} AS before,
        arrayFirstIndex(
            (each, number) -> number > before AND {_HAS_ARRIVED}, log_state, arrayEnumerate(log_state)
        ) AS found,
        if(found = 0, NULL, log_at[found]) AS arrived_at,
        greatest(0, ifNull(toUnixTimestamp64Milli(arrived_at) - toUnixTimestamp64Milli(window_to), 0)) / 1000 AS late_s
    FROM jobs FINAL
    WHERE window_to IS NOT NULL AND NOT has({{called_off:Array(String)}}, state) AND {_OF_BRANCHES}
        AND {_within("window_to")}
)
{_GROUPS}
"""

TRAVEL: Final = f"""
SELECT
    {_day("arrived_at")}, branch, {_TECHNICIAN},
    count() AS jobs,
    sum(assumeNotNull(travel_s)) AS total_travel_s,
    total_travel_s / jobs AS mean_travel_s,
    max(assumeNotNull(travel_s)) AS longest_travel_s
FROM (
    SELECT branch, technician_ids, travel_s, {_ARRIVED_AT} AS arrived_at
    FROM jobs FINAL
    WHERE travel_s IS NOT NULL AND {_OF_BRANCHES}
)
WHERE {_within("arrived_at")}
{_GROUPS}
"""

ON_SITE_TIME: Final = f"""
SELECT
    {_day("arrived_at")}, branch, technician_id,
    count() AS visits,
    countIf(is_for_job) AS job_visits,
    sum(on_site_s) AS total_on_site_s,
    sum(on_site_min_s) AS total_on_site_min_s,
    sum(on_site_max_s) AS total_on_site_max_s,
    sumIf(on_site_s, is_for_job) AS job_on_site_s,
    max(on_site_s) AS longest_on_site_s
FROM (
    SELECT
        arrived_at, on_site_s, on_site_min_s, on_site_max_s,
        if(holder = '', device_id, holder) AS technician_id,
        if(holder = '', NULL, holders.branch) AS branch,
        visit_id IN (SELECT arrayJoin(visit_ids) FROM jobs FINAL) AS is_for_job
    FROM (
        SELECT * FROM visits FINAL WHERE state IN ('confirmed', 'closed') AND {_within("arrived_at")}
    ) AS visits
    LEFT JOIN (
        SELECT device_id, min(technician_id) AS holder, argMin(tuple(branch), technician_id).1 AS branch
        FROM (
            SELECT arrayJoin(device_ids) AS device_id, technician_id, branch FROM technicians FINAL
            WHERE removed_at IS NULL
        )
        GROUP BY device_id
    ) AS holders ON visits.device_id = holders.device_id
)
WHERE {_OF_BRANCHES}
{_GROUPS}
"""

FIRST_TIME_FIX: Final = f"""
WITH
    told AS (
        SELECT
            job_id, branch, technician_ids, state, complaint, completed_at,
            completed_at IS NOT NULL AND ifNull(left_at <= completed_at, false) AS was_left,
            coalesce(arrived_at, window_from, created_at) AS came_at
        FROM (
            SELECT
                job_id, branch, technician_ids, state, window_from, created_at,
                lowerUTF8(replaceRegexpAll(ifNull(fault, ''), '^\\\\s+|\\\\s+$', '')) AS said_fault,
                lowerUTF8(replaceRegexpAll(ifNull(job_type, ''), '^\\\\s+|\\\\s+$', '')) AS said_type,
                multiIf(said_fault != '', ('fault', said_fault), ('job_type', said_type)) AS what,
                (ifNull(site_id, ''), what.1, what.2) AS complaint,
                {_first("has({completed:Array(String)}, each)")} AS completed_at,
                {_first("has({left:Array(String)}, each)")} AS left_at,
                {_ARRIVED_AT} AS arrived_at
            FROM jobs FINAL
            WHERE site_id IS NOT NULL
        )
        WHERE complaint.3 != ''
    ),
    mended AS (
        SELECT complaint, assumeNotNull(completed_at) AS done_at, max(job_id) AS of_job_id
        FROM told WHERE completed_at IS NOT NULL GROUP BY complaint, done_at
    ),
    repeats AS (
        SELECT again.job_id AS job_id, mended.of_job_id AS of_job_id
        FROM (SELECT job_id, complaint, assumeNotNull(came_at) AS came_at FROM told
              WHERE NOT has({{called_off:Array(String)}}, state)) AS again
        ASOF INNER JOIN mended ON again.complaint = mended.complaint AND again.came_at > mended.done_at
        WHERE toUnixTimestamp64Milli(came_at) - toUnixTimestamp64Milli(done_at) <= {{within_ms:Float64}}
    )
SELECT
    {_day("completed_at")}, branch, {_TECHNICIAN},
    count() AS complaints,
    countIf(NOT was_left AND job_id NOT IN (SELECT of_job_id FROM repeats)) AS fixed,
    fixed / complaints AS rate
FROM told
WHERE {_within("completed_at")} AND job_id NOT IN (SELECT job_id FROM repeats) AND {_OF_BRANCHES}
{_GROUPS}
"""

ETA_ACCURACY: Final = f"""
SELECT
    {_day("arrived_at")}, branch, technician_id, before_s,
    count() AS arrivals,
    countIf(arrived_at >= window_from AND arrived_at <= window_to) AS held,
    held / arrivals AS rate,
    avg(abs(toUnixTimestamp64Milli(eta) - toUnixTimestamp64Milli(arrived_at))) / 1000 AS mean_error_s,
    avg(toUnixTimestamp64Milli(eta) - toUnixTimestamp64Milli(arrived_at)) / 1000 AS bias_s,
    avg(toUnixTimestamp64Milli(window_to) - toUnixTimestamp64Milli(window_from)) / 1000 AS mean_window_s
FROM (
    SELECT
        branch, came_at AS arrived_at, before_s,
        argMax((who, at, begins, ends), computed_at) AS said,
        said.1 AS technician_id, said.2 AS eta, said.3 AS window_from, said.4 AS window_to
    FROM (
        SELECT job_id, computed_at, technician_id AS who, eta AS at, window_from AS begins, window_to AS ends
        FROM etas FINAL
        WHERE computed_at >= {_FROM} - INTERVAL 2 HOUR AND computed_at < {_TO}
    ) AS told
    INNER JOIN (
        SELECT job_id, branch, assumeNotNull(first_at) AS came_at, arrayJoin([3600, 1800, 900, 300]) AS before_s
        FROM (SELECT job_id, branch, {_ARRIVED_AT} AS first_at FROM jobs FINAL WHERE {_OF_BRANCHES})
        WHERE {_within("first_at")}
    ) AS arrivals ON told.job_id = arrivals.job_id
    WHERE computed_at <= came_at - toIntervalSecond(before_s)
        AND computed_at > came_at - toIntervalSecond(before_s) - INTERVAL 1 HOUR
    GROUP BY told.job_id, branch, arrived_at, before_s
)
GROUP BY day, branch, technician_id, before_s
ORDER BY day, branch, technician_id, before_s DESC
"""
"""What stood so long before an arrival is what was said last by then, unless that was more than an hour earlier."""

SATISFACTION: Final = f"""
SELECT
    {_day("rated_at")}, branch, {_TECHNICIAN},
    count() AS ratings,
    avg(rating) AS mean_rating,
    countIf(rating >= 4) / ratings AS satisfied,
    countIf(rating <= 2) AS low,
    arrayStringConcat(
        arraySort(groupArrayIf(concat(job_id, ': ', ifNull(comment, '')), rating <= 2 AND comment IS NOT NULL)), '\\n'
    ) AS low_comments
FROM (
    SELECT rated.job_id AS job_id, rating, comment, rated_at, branch, technician_ids
    FROM (SELECT job_id, rating, comment, rated_at FROM ratings FINAL WHERE {_within("rated_at")}) AS rated
    INNER JOIN (
        SELECT job_id, branch, technician_ids FROM jobs FINAL
        WHERE {_OF_BRANCHES} AND job_id IN (SELECT job_id FROM ratings WHERE {_within("rated_at")})
    ) AS jobs ON rated.job_id = jobs.job_id
)
{_GROUPS}
"""

SLA_JOBS: Final = f"""
SELECT
    job_id, toString(toDate(created_at, {{zone:String}})) AS day, branch, technician_ids, priority,
    toUnixTimestamp64Milli(created_at) AS created_ms, log_state,
    arrayMap(each -> toUnixTimestamp64Milli(each), log_at) AS log_ms
FROM jobs FINAL
WHERE {_within("jobs.created_at")} AND {_OF_BRANCHES} AND job_id > {{after:String}}
ORDER BY job_id
LIMIT {{at_once:UInt32}}
"""
"""The jobs of which promises are judged, some at a time: business hours are nothing the store knows."""
