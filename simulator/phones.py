"""What a phone makes of the truth: noise, sensing that sleeps, faults, and uploads that come late and twice.

Position errors follow a Gauss–Markov process (correlation 90 s) whose scale depends on the surroundings, plus a bias
that belongs to the building. ``Noise`` holds every figure; ``Noise()`` is meant to be no easier than life.
"""

from dataclasses import dataclass, fields
from typing import Final, Literal, Self

import numba
import numpy as np
import numpy.typing as npt

from simulator.movement import Activity, Track
from simulator.plane import Floats, Plane

Longs = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Window = tuple[float, float]
Claim = Literal["honest", "5 m", "65 m", "none"]

_BATCH_MAX: Final = 100
_GAUSS_TO_68: Final = 1.51
"""68 % radius of a round two-dimensional Gaussian with standard deviation 1 an axis."""


@dataclass(frozen=True)
class Noise:
    """How phones err. Lengths in metres (standard deviation an axis), times in seconds, rates per hour."""

    open_sky_m: float = 4.0
    correlation_s: float = 90.0
    jitter_m: float = 0.8
    burst_rate: float = 3.0
    burst_s: float = 75.0
    burst_factor: float = 4.0
    indoor_m: float = 9.0
    indoor_bias_m: float = 6.0
    far_indoor_bias_m: float = 14.0
    """Bias of one building in six: most good fixes fall outside it."""
    leaps: float = 0.0015
    """Share of fixes 80–400 m off under an accuracy of a few metres."""
    coarse: float = 0.008
    """Share of fixes from cell towers, with the accuracy they deserve."""
    claims: tuple[tuple[Claim, float], ...] = (("honest", 0.7), ("5 m", 0.1), ("65 m", 0.1), ("none", 0.1))
    speedless: float = 0.3
    """Share of phones that report no speed."""
    moving_interval_s: tuple[float, ...] = (1.0, 5.0, 5.0, 10.0, 10.0, 15.0, 30.0)
    still_interval_s: tuple[float, ...] = (10.0, 30.0, 60.0, 60.0, 120.0, 300.0)
    still_after_s: float = 120.0
    sleeps: float = 0.25
    """Share of stays in which the phone dozes off, for 10 to 60 minutes."""
    silence_rate: float = 0.25
    tunnels: float = 0.04
    """Share of drive-bys after whose beginning there is nothing for 60–300 s."""
    cached: float = 0.008
    """Share of fixes that begin a run of the last position under fresh times."""
    stale_rate: float = 0.1
    """Fixes minutes to hours old under fresh times."""
    offline_rate: float = 0.08
    offline_s: tuple[float, float] = (600.0, 9_000.0)
    late_phones: float = 0.05
    """Share of phones that upload the whole day at its end."""
    repeated_batches: float = 0.02
    repeated_pings: float = 0.005
    newest_first: float = 0.15
    """Share of phones that upload their newest fixes first."""


@dataclass(frozen=True, eq=False)
class PingColumns:
    """Copies of pings as delivered, columns of equal length n; float columns hold NaN where the phone does not say.

    ``device`` int32 indexes the day's devices; ``ts_ms``, ``sent_ms``, ``delivered_ms`` int64 epoch milliseconds;
    ``lat``, ``lon`` degrees at 1e-7. Rows of one device with one ``delivered_ms`` are one request.
    """

    device: npt.NDArray[np.int32]
    ts_ms: Longs
    lat: Floats
    lon: Floats
    accuracy_m: Floats
    speed_mps: Floats
    bearing_deg: Floats
    battery: Floats
    sent_ms: Longs
    delivered_ms: Longs

    def __len__(self) -> int:
        return len(self.ts_ms)

    def take(self, rows: npt.NDArray[np.intp] | Bools) -> Self:
        """The rows of an index array or a mask."""
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def concat(cls, parts: list[Self]) -> Self:
        """One after the other."""
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))


@dataclass(frozen=True)
class Phone:
    """The habits of one phone."""

    claim: Claim
    quality: float
    moving_interval_s: float
    still_interval_s: float
    upload_s: float
    reports_speed: bool
    whole_seconds: bool
    uploads_late: bool
    newest_first: bool

    @classmethod
    def drawn(cls, noise: Noise, rng: np.random.Generator) -> Self:
        """One of the phones that people have."""
        claims = [claim for claim, _ in noise.claims]
        shares = np.cumsum([share for _, share in noise.claims])
        return cls(
            claim=claims[min(int(np.searchsorted(shares, rng.random() * shares[-1])), len(claims) - 1)],
            quality=float(rng.lognormal(0.0, 0.25)),
            moving_interval_s=_one_of(noise.moving_interval_s, rng),
            still_interval_s=_one_of(noise.still_interval_s, rng),
            upload_s=_one_of((0.0, 10.0, 30.0, 60.0, 300.0), rng),
            reports_speed=bool(rng.random() >= noise.speedless),
            whole_seconds=bool(rng.random() < 0.6),
            uploads_late=bool(rng.random() < noise.late_phones),
            newest_first=bool(rng.random() < noise.newest_first),
        )


def record(
    device: int,
    track: Track,
    drive_bys: list[Window],
    plane: Plane,
    noise: Noise,
    rng: np.random.Generator,
) -> PingColumns:
    """The pings of one phone that went along a track, every copy that is delivered, in order of fixes.

    ``drive_bys`` are spans in seconds of the track that begin at a fence beside the road: where tunnels start.
    """
    phone = Phone.drawn(noise, rng)
    at_s = _sensing_times(track, phone, noise, rng)
    at_s = at_s[~_within(at_s, _silences(track, drive_bys, noise, rng))]
    if phone.whole_seconds:
        at_s = np.unique(np.floor(at_s))
    second = np.minimum(at_s.astype(np.int64), len(track) - 1)
    error_x, error_y, accuracy_m = _errors(at_s, second, track, phone, noise, rng)
    seconds = np.arange(len(track), dtype=np.float64)
    lat, lon = plane.to_degrees(
        np.interp(at_s, seconds, track.x) + error_x, np.interp(at_s, seconds, track.y) + error_y
    )
    shown = _shown(at_s, noise, rng)
    speed_mps, bearing_deg = _motion(track, second, phone, rng)
    ts_ms = track.start_ms + np.rint(at_s * 1000.0).astype(np.int64)
    battery = np.round(rng.uniform(0.8, 1.0) - rng.uniform(0.04, 0.08) * at_s / 3600.0, 2)
    fixes = PingColumns(
        np.full(len(at_s), device, np.int32),
        ts_ms,
        lat[shown],
        lon[shown],
        accuracy_m[shown],
        speed_mps,
        bearing_deg,
        np.clip(battery, 0.02, 1.0),
        ts_ms,
        ts_ms,
    )
    return _uploaded(fixes, track, phone, noise, rng)


def _one_of(choices: tuple[float, ...], rng: np.random.Generator) -> float:
    return choices[int(rng.integers(len(choices)))]


def _sensing_times(track: Track, phone: Phone, noise: Noise, rng: np.random.Generator) -> Floats:
    """When the phone takes a fix, seconds: often on the move, seldom after a while of stillness."""
    moving = (track.activity == Activity.DRIVING) | (track.activity == Activity.WALKING)
    second = np.arange(len(track))
    last_moved = np.maximum.accumulate(np.where(moving, second, 0))
    still = second - last_moved > noise.still_after_s
    due = np.cumsum(1.0 / np.where(still, phone.still_interval_s, phone.moving_interval_s))
    wanted = np.arange(due[0], due[-1]) + rng.uniform(-0.2, 0.2, len(np.arange(due[0], due[-1])))
    return np.unique(np.clip(np.interp(wanted, due, second), 0.0, len(track) - 1.001))


def _silences(track: Track, drive_bys: list[Window], noise: Noise, rng: np.random.Generator) -> list[Window]:
    """Spans in seconds without a fix: naps at a site, tunnels that begin beside a fence, no reason at all."""
    windows: list[Window] = []
    stays = np.flatnonzero(np.diff(track.stay, prepend=-1))
    for start, stay in zip(stays, track.stay[stays], strict=True):
        if stay >= 0 and rng.random() < noise.sleeps:
            length_s = int(np.searchsorted(-(track.stay[start:] == stay).astype(np.int8), 0))
            asleep_s = float(start) + rng.uniform(90.0, 900.0)
            awake_s = min(asleep_s + rng.uniform(600.0, 3_600.0), start + length_s + rng.uniform(0.0, 180.0))
            windows.append((asleep_s, awake_s))
    for start_s, _ in drive_bys:
        if rng.random() < noise.tunnels:
            windows.append((start_s + 2.0, start_s + 2.0 + rng.uniform(60.0, 300.0)))
    for start_s in _moments(noise.silence_rate, len(track), rng):
        windows.append((start_s, start_s + rng.uniform(60.0, 600.0)))
    return windows


def _moments(rate_per_hour: float, length_s: float, rng: np.random.Generator) -> Floats:
    """A Poisson process, sorted seconds."""
    return np.sort(rng.uniform(0.0, length_s, rng.poisson(rate_per_hour * length_s / 3600.0)))


def _within(at_s: Floats, windows: list[Window]) -> Bools:
    hit = np.zeros(len(at_s), np.bool_)
    for start_s, end_s in windows:
        hit[np.searchsorted(at_s, start_s) : np.searchsorted(at_s, end_s)] = True
    return hit


def _errors(
    at_s: Floats, second: Longs, track: Track, phone: Phone, noise: Noise, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Error east and north and the accuracy that the phone claims, float64[n] metres each."""
    count = len(at_s)
    stay = track.stay[second]
    indoors = (stay >= 0) & (track.activity[second] == Activity.RESTING)
    bursts = [
        (start_s, start_s + rng.exponential(noise.burst_s)) for start_s in _moments(noise.burst_rate, len(track), rng)
    ]
    scale_m = np.where(indoors, noise.indoor_m, noise.open_sky_m) * phone.quality
    scale_m = np.where(_within(at_s, bursts) & ~indoors, scale_m * noise.burst_factor, scale_m)
    x_m = scale_m * correlated(at_s, noise.correlation_s, rng.standard_normal(count))
    y_m = scale_m * correlated(at_s, noise.correlation_s, rng.standard_normal(count))

    places = int(np.max(track.stay)) + 1
    size_m = np.where(rng.random(places) < 1.0 / 6.0, noise.far_indoor_bias_m, noise.indoor_bias_m)
    bias_m = rng.standard_normal((places + 1, 2)) * np.append(size_m, 0.0)[:, None]
    bias_m[-1] = 0.0
    where = np.where(indoors, stay, places)
    x_m += bias_m[where, 0] + rng.normal(0.0, noise.jitter_m, count)
    y_m += bias_m[where, 1] + rng.normal(0.0, noise.jitter_m, count)

    believed_m = _GAUSS_TO_68 * np.hypot(scale_m, 0.5 * np.hypot(bias_m[where, 0], bias_m[where, 1]))
    honest_m = np.clip(believed_m * rng.lognormal(0.0, 0.3, count), 3.0, 250.0)
    coarse = rng.random(count) < noise.coarse
    cell_m = np.where(coarse, rng.uniform(80.0, 500.0, count), 0.0)
    x_m += cell_m * rng.standard_normal(count)
    y_m += cell_m * rng.standard_normal(count)
    honest_m = np.where(coarse, np.maximum(honest_m, 1.8 * cell_m), honest_m)
    leaps = rng.random(count) < noise.leaps
    angle, far_m = rng.uniform(0.0, 2.0 * np.pi, count), rng.uniform(80.0, 400.0, count)
    x_m += np.where(leaps, far_m * np.cos(angle), 0.0)
    y_m += np.where(leaps, far_m * np.sin(angle), 0.0)
    return x_m, y_m, _CLAIMS[phone.claim](np.round(honest_m, 1))


_CLAIMS: Final = {
    "honest": lambda honest_m: honest_m,
    "5 m": lambda honest_m: np.full_like(honest_m, 5.0),
    "65 m": lambda honest_m: np.full_like(honest_m, 65.0),
    "none": lambda honest_m: np.full_like(honest_m, np.nan),
}


@numba.njit(cache=True)
def correlated(at_s: Floats, correlation_s: float, draws: Floats) -> Floats:
    """A stationary Gauss–Markov process of variance 1 at the times ``at_s``, driven by standard normal ``draws``."""
    values = np.empty_like(draws)
    for i in range(len(draws)):
        if i == 0:
            values[i] = draws[i]
        else:
            kept = np.exp(-(at_s[i] - at_s[i - 1]) / correlation_s)
            values[i] = kept * values[i - 1] + np.sqrt(1.0 - kept * kept) * draws[i]
    return values


def _shown(at_s: Floats, noise: Noise, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Whose position each fix shows: its own, or that of an earlier one which the phone had in its cache."""
    count = len(at_s)
    shown = np.arange(count)
    for start in np.flatnonzero(rng.random(count) < noise.cached):
        shown[start + 1 : start + 1 + int(rng.integers(1, 4))] = shown[start]
    for moment_s in _moments(noise.stale_rate, float(at_s[-1]) if count else 0.0, rng):
        fix = int(np.searchsorted(at_s, moment_s))
        shown[fix] = shown[int(np.searchsorted(at_s, moment_s - rng.uniform(300.0, 7_200.0)))]
    return shown


def _motion(track: Track, second: Longs, phone: Phone, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The speed and bearing that the phone reports, NaN where it says nothing."""
    nothing = np.full(len(second), np.nan)
    if not phone.reports_speed:
        return nothing, nothing
    before = np.maximum(second - 2, 0)
    east, north = track.x[second] - track.x[before], track.y[second] - track.y[before]
    true_mps = np.hypot(east, north) / np.maximum(second - before, 1)
    noisy_mps = np.maximum(true_mps + rng.normal(0.0, 0.3, len(second)), 0.0)
    speed_mps = np.where(true_mps < 0.2, np.maximum(noisy_mps - 0.3, 0.0), noisy_mps)
    bearing_deg = (np.degrees(np.arctan2(east, north)) + rng.normal(0.0, 6.0, len(second))) % 360.0
    return speed_mps.round(2), np.where(true_mps > 1.0, bearing_deg.round(1), np.nan)


def _uploaded(fixes: PingColumns, track: Track, phone: Phone, noise: Noise, rng: np.random.Generator) -> PingColumns:
    """Every delivered copy: batches at the phone's rhythm, offline spells made up for later, repeats, disorder."""
    count = len(fixes)
    sent_ms = _at_own_rhythm(fixes.ts_ms + 200, round(phone.upload_s * 1000), rng.random())
    for start_ms, end_ms in _offline_spells(track, phone, noise, rng):
        first, last = np.searchsorted(sent_ms, [start_ms, end_ms])
        backlog = np.arange(last - first)
        batch = (backlog[::-1] if phone.newest_first else backlog) // _BATCH_MAX
        sent_ms[first:last] = end_ms + 1_500 * batch
    delivered_ms = sent_ms + _latency_ms(sent_ms, rng)

    _, batch_of = np.unique(sent_ms, return_inverse=True)
    again = (rng.random(count) < noise.repeated_batches)[batch_of] | (rng.random(count) < noise.repeated_pings)
    rows = np.concatenate([np.arange(count), np.flatnonzero(again)])
    copies = fixes.take(rows)
    wait_ms = rng.uniform(4_000.0, 300_000.0, count).astype(np.int64)[batch_of]
    resent_ms = np.concatenate([sent_ms, (sent_ms + wait_ms)[again]])
    arrives_ms = np.concatenate([delivered_ms, (delivered_ms + wait_ms)[again]])
    columns = {column.name: getattr(copies, column.name) for column in fields(copies)}
    return PingColumns(**{**columns, "sent_ms": resent_ms, "delivered_ms": arrives_ms})


def _at_own_rhythm(ready_ms: Longs, rhythm_ms: int, phase: float) -> Longs:
    """When a phone sends what is ready, whole batches where it has a rhythm: no two phones' rhythms are in step."""
    if not rhythm_ms:
        return ready_ms + round(900.0 * phase)
    return ready_ms + (round(rhythm_ms * phase) - ready_ms) % rhythm_ms


def _offline_spells(track: Track, phone: Phone, noise: Noise, rng: np.random.Generator) -> list[tuple[int, int]]:
    """[from, to) in epoch ms; disjoint."""
    end_ms = track.start_ms + len(track) * 1000
    if phone.uploads_late:
        return [(track.start_ms, end_ms + round(rng.uniform(10_000.0, 300_000.0)))]
    spells: list[tuple[int, int]] = []
    for moment_s in _moments(noise.offline_rate, len(track), rng):
        start_ms = track.start_ms + round(moment_s * 1000.0)
        if spells and start_ms < spells[-1][1]:
            continue
        stop_ms = min(start_ms + round(rng.uniform(*noise.offline_s) * 1000.0), end_ms + 60_000)
        spells.append((start_ms, stop_ms))
    return spells


def _latency_ms(sent_ms: Longs, rng: np.random.Generator) -> Longs:
    """A request's way, milliseconds: one in a hundred takes up to a minute, so later ones overtake it."""
    moments, batch_of = np.unique(sent_ms, return_inverse=True)
    usual_ms = 120.0 * rng.lognormal(0.0, 0.6, len(moments))
    slow = rng.random(len(moments)) < 0.01
    took_ms = np.where(slow, rng.uniform(3_000.0, 60_000.0, len(moments)), usual_ms)
    return np.rint(took_ms).astype(np.int64)[batch_of]
