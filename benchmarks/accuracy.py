"""How right the visit log is: simulated days under many noise models and real traces, against point in polygon.

Every engine reads the same fixes in the same run: Onsite, enter and exit by point in polygon at once, and the same
over sorted fixes with an accuracy gate and a dwell filter. Figures are named by set; ``…_f1_apart`` leaves out sites
that share a wall with another or face one across a narrow street. Pictures of the worst cases go to
``benchmarks/out/accuracy``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import worst_cases
from benchmarks.accuracy_sets import DATA, TAP_TOLERANCE_MS, LabelledSet, Trace, labelled_sets
from benchmarks.baselines import dwell_filter, point_in_polygon
from geofence.rules import Rules
from geofence.visits import derive_stays
from simulator.score import Case, LoggedStay, Score, compare, score_cases

PLOTS: Final = Path(__file__).parent / "out" / "accuracy"

Log = list[tuple[str, LoggedStay]]


def onsite(trace: Trace, end_ms: int) -> list[LoggedStay]:
    """What ``onsite visits`` prints."""
    fixes = trace.fixes.in_order()
    stays = derive_stays(trace.device_id, fixes, trace.fences, Rules(), end_ms, ended=True).stays
    return [stay for stay in stays if stay.state != "open"]


ENGINES: Final[dict[str, Callable[[Trace, int], Iterable[LoggedStay]]]] = {
    "onsite": onsite,
    "point_in_polygon": lambda trace, _: point_in_polygon(trace.fixes, trace.fences),
    "dwell_filter": lambda trace, _: dwell_filter(trace.fixes, trace.fences, Rules()),
}
BASELINES: Final = tuple(ENGINES)[1:]


@dataclass(frozen=True)
class Judgement:
    """What one engine made of one set; ``f1_apart`` None where it is not known which sites adjoin."""

    score: Score
    f1_apart: float | None
    coverage: float | None


def run(quick: bool) -> dict[str, Any]:
    """Measure; ``quick`` takes fewer technicians and seeds."""
    notes = Console(stderr=True)
    if not DATA.exists():
        notes.print(f"{DATA} is not here: simulated days only", highlight=False)
    drawing = worst_cases.can_draw()
    notes.print(
        f"pictures of the worst cases go to {PLOTS}" if drawing else "matplotlib is not installed: no pictures",
        highlight=False,
        soft_wrap=True,
    )
    judged: dict[str, dict[str, Judgement]] = {}
    for name, labelled in labelled_sets(quick):
        judged[name] = {}
        for engine in ENGINES:
            log = log_of(engine, labelled)
            cases = list(compare(labelled.truth, log, labelled.end_ms))
            judged[name][engine] = judgement(labelled, cases)
            if engine == "onsite" and drawing:
                worst_cases.draw(PLOTS / name, labelled, log, cases, count=1 if quick else 8)
    return outcome_of(judged) | {"tables": [visits_table(judged), errors_table(judged)]}


def log_of(engine: str, labelled: LabelledSet) -> Log:
    """(device_id, stay) at the fences that are judged."""
    return [
        (trace.device_id, stay)
        for trace in labelled.traces
        for stay in ENGINES[engine](trace, labelled.end_ms)
        if stay.fence_id not in labelled.unjudged
    ]


def judgement(labelled: LabelledSet, cases: Sequence[Case]) -> Judgement:
    """Scores of all cases and of those apart."""
    passes = sum(span.kind == "pass" for span in labelled.truth)
    apart = [case for case in cases if (case.device_id, case.fence_id) not in labelled.adjoining]
    return Judgement(
        score_cases(cases, passes),
        score_cases(apart, passes).f1 if labelled.adjoining else None,
        interval_coverage(cases, labelled.taps),
    )


def interval_coverage(cases: Iterable[Case], taps: Mapping[Any, Any]) -> float | None:
    """Share of the edges of found visits within their intervals: the hand taps where there are any, else the truth."""
    slack_ms = TAP_TOLERANCE_MS if taps else 0
    held: list[bool] = []
    for case in cases:
        if case.span is None or case.stay is None:
            continue
        wanted, stay = taps.get(case.span, case.span), case.stay
        held.append(stay.arrived_earliest_ms - slack_ms <= wanted.arrived_ms <= stay.arrived_latest_ms + slack_ms)
        earliest_ms, latest_ms = stay.departed_earliest_ms, stay.departed_latest_ms
        if wanted.departed_ms is not None and earliest_ms is not None and latest_ms is not None:
            held.append(earliest_ms - slack_ms <= wanted.departed_ms <= latest_ms + slack_ms)
    return sum(held) / len(held) if held else None


def outcome_of(judged: Mapping[str, Mapping[str, Judgement]]) -> dict[str, dict[str, float]]:
    """Figures, anchors and ratios; what could not be measured (an error of nothing found) is left out."""
    figures: dict[str, float | None] = {}
    anchors: dict[str, float] = {}
    ratios: dict[str, float] = {}
    for name, by_engine in judged.items():
        ours, own = by_engine["onsite"], by_engine["onsite"].score
        figures |= {
            f"{name}_f1": own.f1,
            f"{name}_f1_apart": ours.f1_apart,
            f"{name}_false_per_pass": own.false_per_pass,
            f"{name}_arrival_error_p50_s": own.arrival_p50_s,
            f"{name}_arrival_error_p90_s": own.arrival_p90_s,
            f"{name}_departure_error_p50_s": own.departure_p50_s,
            f"{name}_departure_error_p90_s": own.departure_p90_s,
            f"{name}_interval_coverage": ours.coverage,
            f"{name}_true_visits": own.true,
            f"{name}_found_visits": own.found,
            f"{name}_missed_visits": own.missed,
            f"{name}_invented_visits": own.invented,
            f"{name}_split_visits": own.split,
        }
        for baseline in BASELINES:
            anchor = f"{name}_{baseline}_f1"
            anchors[anchor] = by_engine[baseline].score.f1
            if anchors[anchor] > 0.0:
                ratios[f"onsite_vs_{anchor}"] = own.f1 / anchors[anchor]
    measured = {figure: value for figure, value in figures.items() if value is not None}
    return {"figures": measured, "anchors": anchors, "ratios": ratios}


def visits_table(judged: Mapping[str, Mapping[str, Judgement]]) -> Table:
    """A row a set and engine: what became of the true visits."""
    table = _table("visits", "set", "true", "found", "missed", "invented", "split", "false per pass")
    for name, by_engine in judged.items():
        for engine, each in by_engine.items():
            score = each.score
            counts = (score.true, score.found, score.missed, score.invented, score.split)
            label = name if engine == "onsite" else f"[dim]  {engine}[/dim]"
            table.add_row(label, *map(str, counts), f"{score.false_per_pass:.4f}" if score.passes else "–")
    return table


def errors_table(judged: Mapping[str, Mapping[str, Judgement]]) -> Table:
    """A row a set: F1 beside the baselines', and the edges in seconds."""
    headings = ("F1", "apart", "dwell", "at once", "arr.", "p90", "dep.", "p90", "held")
    title = "F1, sites apart, the baselines' F1 · errors of arrival and departure, s · edges held by their intervals"
    table = _table(title, "set", *headings)
    for name, by_engine in judged.items():
        ours, own = by_engine["onsite"], by_engine["onsite"].score
        f1s = (own.f1, ours.f1_apart, by_engine["dwell_filter"].score.f1, by_engine["point_in_polygon"].score.f1)
        edges = (own.arrival_p50_s, own.arrival_p90_s, own.departure_p50_s, own.departure_p90_s)
        table.add_row(
            name, *(_shown(f1, 3) for f1 in f1s), *(_shown(edge, 0) for edge in edges), _shown(ours.coverage, 3)
        )
    return table


def _table(title: str, first: str, *rest: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for heading in rest:
        table.add_column(heading, justify="right")
    return table


def _shown(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
