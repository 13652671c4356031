"""How good ETAs were: coverage of the windows, error and bias, by how long the way still was said to be."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from dispatch.eta.engine import Answers
from dispatch.eta.queries import Floats

HORIZONS_MIN: Final = (0, 5, 10, 20, 40)
"""Where the buckets begin; the last has no end."""

_RELATIVE_FROM_S: Final = 60.0
"""Of shorter ways no relative error is told: half a minute is not half of anything."""


@dataclass(frozen=True)
class Score:
    """Of ``asked`` answers; ``mae_min``, ``bias_min`` (positive: said too late) and ``width_min`` are minutes.

    ``coverage`` is the part whose windows held; ``mape`` is of those over a minute away. ``engine_mae_min`` is the
    error of the route's own travel time. NaN where nothing was asked.
    """

    asked: int
    coverage: float
    width_min: float
    mae_min: float
    mape: float
    bias_min: float
    engine_mae_min: float


def score(answers: Answers, engine_s: Floats, remaining_s: Floats) -> Score:
    """The score of some answers; all float64[n]."""
    if not len(remaining_s):
        return Score(0, *[float("nan")] * 6)
    error_s = answers.eta_s - remaining_s
    is_held = (answers.from_s <= remaining_s) & (remaining_s <= answers.to_s)
    is_far = remaining_s > _RELATIVE_FROM_S
    relative = np.abs(error_s[is_far]) / remaining_s[is_far]
    return Score(
        asked=len(remaining_s),
        coverage=float(is_held.mean()),
        width_min=float((answers.to_s - answers.from_s).mean()) / 60,
        mae_min=float(np.abs(error_s).mean()) / 60,
        mape=float(relative.mean()) if is_far.any() else float("nan"),
        bias_min=float(error_s.mean()) / 60,
        engine_mae_min=float(np.abs(engine_s - remaining_s).mean()) / 60,
    )


def by_horizon(answers: Answers, engine_s: Floats, remaining_s: Floats) -> dict[str, Score]:
    """Scores by the time that was said to be left, named as ``5-10 min``."""
    bucket = np.searchsorted(np.array(HORIZONS_MIN) * 60.0, answers.eta_s, side="right") - 1
    found = {}
    for number, begin in enumerate(HORIZONS_MIN):
        here = bucket == number
        some = Answers(answers.eta_s[here], answers.from_s[here], answers.to_s[here])
        name = f"{begin}-{HORIZONS_MIN[number + 1]} min" if number + 1 < len(HORIZONS_MIN) else f"{begin}+ min"
        found[name] = score(some, engine_s[here], remaining_s[here])
    return found
