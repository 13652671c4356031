"""How wide a window is: quantiles of past errors, by how long the way still was.

Errors are logarithms of actual over predicted time, kept for the last trips of each bucket of horizons, and scaled by
how far the device's own errors spread. Which quantiles hold the promised level follows from what the windows have held
of late (adaptive conformal inference, Gibbs and Candès 2021), each side for itself. What has not been seen is wide.
"""

from collections import deque
from statistics import NormalDist
from typing import Final

import numpy as np

from dispatch.eta.queries import SHORTEST_S, Floats, Ints

LEVEL: Final = 0.8

CENTRES_S: Final = 90.0 * 2.0 ** np.arange(7)
"""Middles of the buckets of horizons: 1.5, 3, 6, 12, 24, 48, 96 minutes."""

TRIPS: Final = 300
"""So many of the last trips a bucket keeps."""

PRIOR_TRIPS: Final = 8.0
PRIOR_ERRORS: Final = 0.6 * np.array([NormalDist().inv_cdf((each + 0.5) / 20) for each in range(20)])
"""What a bucket is taken to have seen before anything: errors that spread by 0.6, a window of a half to double."""

_PRIOR: Final = np.array([PRIOR_ERRORS, np.full(len(PRIOR_ERRORS), PRIOR_TRIPS / len(PRIOR_ERRORS))])

STEP: Final = 0.02
"""By how much of its distance from the goal a side's quantile moves with each trip."""

_WIDEST: Final = 0.005
_NARROWEST: Final = 0.45

DEVICE_SHRINK_TRIPS: Final = 20.0


class Windows:
    """State of the calibration. ``device`` are numbers from 0, as for ``Queries``.

    Between the middles of two buckets both are asked, and both learn, by how near they are.
    """

    def __init__(self, level: float = LEVEL) -> None:
        self.level = level
        self._tail = (1.0 - level) / 2.0
        buckets = len(CENTRES_S)
        # Of each trip in a bucket its errors, and what part of the bucket's each is: float64[2, n].
        self._errors: list[deque[Floats]] = [deque(maxlen=TRIPS) for _ in range(buckets)]
        self._tails = np.full((2, buckets), self._tail)
        self._squares = np.zeros(0)
        self._counts = np.zeros(0)
        self._ends: Floats | None = None

    def around(self, predicted_s: Floats, device: Ints) -> tuple[Floats, Floats]:
        """The ends of the windows, in seconds from the moment of asking."""
        if self._ends is None:
            self._ends = np.array([self._quantiles(bucket) for bucket in range(len(CENTRES_S))]).T
        at, middles = np.log(np.maximum(predicted_s, SHORTEST_S)), np.log(CENTRES_S)
        spread = self._spread(device)
        low, high = (np.interp(at, middles, side) * spread for side in self._ends)
        return predicted_s * np.exp(np.minimum(low, 0.0)), predicted_s * np.exp(np.maximum(high, 0.0))

    def learn(self, device: int, predicted_s: Floats, from_s: Floats, to_s: Floats, actual_s: Floats) -> None:
        """A trip has arrived: what was predicted on its way, the windows that were told, and what came."""
        error = np.log(np.maximum(actual_s, SHORTEST_S) / np.maximum(predicted_s, SHORTEST_S))
        scaled = error / self._spread(np.array([device]))[0]
        self._note_spread(device, float(np.mean(error**2)))
        missed = np.array([actual_s < from_s, actual_s > to_s], np.float64)
        shares = bucket_shares(predicted_s)
        shares /= np.maximum(shares.sum(axis=0), 1.0)  # a trip counts once at most
        for bucket in np.flatnonzero(shares.any(axis=0)).tolist():
            rows = np.flatnonzero(shares[:, bucket])
            self._errors[bucket].append(np.array([scaled[rows], shares[rows, bucket]]))
        self._tails += STEP * (self._tail * shares.sum(axis=0) - missed @ shares)
        np.clip(self._tails, _WIDEST, _NARROWEST, out=self._tails)
        self._ends = None

    def _quantiles(self, bucket: int) -> tuple[float, float]:
        """The lower and the upper error that the window reaches to."""
        values, weights = np.concatenate([*self._errors[bucket], _PRIOR], axis=1)
        order = np.argsort(values)
        reached = np.cumsum(weights[order]) - weights[order] / 2.0
        low, high = self._tails[0, bucket], 1.0 - self._tails[1, bucket]
        found = np.interp([low * weights.sum(), high * weights.sum()], reached, values[order])
        return float(found[0]), float(found[1])

    def _note_spread(self, device: int, square: float) -> None:
        if device >= len(self._squares):
            more = device + 1 - len(self._squares)
            self._squares, self._counts = np.pad(self._squares, (0, more)), np.pad(self._counts, (0, more))
        fade = 1.0 - 1.0 / TRIPS
        self._squares[device] = self._squares[device] * fade + square
        self._counts[device] = self._counts[device] * fade + 1.0

    def _spread(self, device: Ints) -> Floats:
        """How far the errors of devices spread, where 1 is usual."""
        found = np.ones(len(device))
        is_known = device < len(self._squares)
        if is_known.any():
            usual = self._squares.sum() / self._counts.sum()
            squares, counts = self._squares[device[is_known]], self._counts[device[is_known]]
            found[is_known] = np.sqrt(
                (squares + DEVICE_SHRINK_TRIPS * usual) / ((counts + DEVICE_SHRINK_TRIPS) * max(usual, 1e-9))
            )
        return found


def bucket_shares(predicted_s: Floats) -> Floats:
    """float64[n, buckets]: how much each is of the two buckets whose middles it lies between, in logarithms."""
    at = np.clip(np.log2(np.maximum(predicted_s, SHORTEST_S) / CENTRES_S[0]), 0.0, len(CENTRES_S) - 1.0)
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(len(CENTRES_S)))))
