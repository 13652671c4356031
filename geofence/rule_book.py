"""The rules of a tenant: for everything, for a fence kind, for one fence; read from TOML."""

import difflib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from geofence.fences import FenceSet
from geofence.rules import PLACE_RULES, RANGES, Rules
from schemas.fence import FenceKind

_KINDS: Final[tuple[str, ...]] = get_args(FenceKind)


class RulesError(ValueError):
    """Rules that are refused; the message says what and where."""


class InForce(NamedTuple):
    """The value of a rule, and where it comes from in the words of the rules' file (``[kind.zone]``)."""

    value: float
    source: str


@dataclass(frozen=True)
class RuleBook:
    """What a tenant has set; empty, everything has its default.

    The most specific wins: the ``by_fence`` of a fence, then the fence's own property (only ``min_on_site_s`` is one),
    then the ``by_kind`` of its kind, then ``general``, then the default.
    """

    general: Mapping[str, float] = field(default_factory=dict)
    by_kind: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    by_fence: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @cached_property
    def rules(self) -> Rules:
        """What holds where nothing more specific does; goes with the fences of ``applied_to``."""
        return Rules(**self.general)

    def applied_to(self, fences: FenceSet) -> FenceSet:
        """The fences with what is set for their kinds and for themselves in the columns of ``PLACE_RULES``."""
        if not self.by_kind and not self.by_fence:
            return fences
        return replace(
            fences,
            min_on_site_s=self._column("min_on_site_s", fences, fences.min_on_site_s),
            bridge_s=self._column("bridge_s", fences, fences.bridge_s),
            bridge_m=self._column("bridge_m", fences, fences.bridge_m),
            prior_weight=self._column("prior_weight", fences, fences.prior_weight),
        )

    def _column(self, name: str, fences: FenceSet, own: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """One rule by row of a fence set, NaN where nothing is set."""
        unset: Mapping[str, float] = {}
        of_kind = {kind: self.by_kind.get(kind, unset).get(name, np.nan) for kind in _KINDS}
        of_fence = [self.by_fence.get(fence_id, unset).get(name, np.nan) for fence_id in fences.fence_ids]
        column = np.array([of_kind[kind] for kind in fences.kind], np.float64)
        for more_specific in (own, np.array(of_fence, np.float64)[fences.fence_of_row]):
            column = np.where(np.isnan(more_specific), column, more_specific)
        return column

    def in_force(self, fence_id: str, kind: FenceKind, min_on_site_s: float | None) -> dict[str, InForce]:
        """Every rule as it holds at a fence version of a kind and with its own ``min_on_site_s``, if it has one."""
        own = {} if min_on_site_s is None else {"min_on_site_s": min_on_site_s}
        levels = (
            (f"[fence.{fence_id}]", self.by_fence.get(fence_id, {})),
            ("the fence", own),
            (f"[kind.{kind}]", self.by_kind.get(kind, {})),
            ("the top of the rules", self.general),
            ("default", Rules()._asdict()),
        )
        return {
            name: next(InForce(stated[name], source) for source, stated in levels if name in stated)
            for name in Rules._fields
        }

    def strangers(self, fence_ids: Collection[str]) -> list[str]:
        """Fences that have rules but are not among these ids: not drawn yet, or misspelt."""
        return sorted(set(self.by_fence).difference(fence_ids))


def read_rules(data: bytes) -> RuleBook:
    """The rules in a TOML file: rules by name, and those of ``PLACE_RULES`` in tables ``[kind.x]`` and ``[fence.x]``.

    Raises RulesError.
    """
    try:
        stated = tomllib.loads(data.decode())
    except ValueError as error:  # not UTF-8, or not TOML
        raise RulesError(f"not TOML: {error}") from None
    tables = {"kind": _tables(stated, "kind"), "fence": _tables(stated, "fence")}
    for kind in tables["kind"]:
        if kind not in _KINDS:
            raise RulesError(f"[kind.{kind}]: there is no such kind of fence; there are {', '.join(_KINDS)}")
    by_kind, by_fence = (
        {name: _checked(table, f"[{level}.{name}]", PLACE_RULES) for name, table in tables[level].items()}
        for level in ("kind", "fence")
    )
    book = RuleBook(_checked(stated, "at the top", Rules._fields), by_kind, by_fence)
    if book.rules.walk_mps >= book.rules.drive_mps:
        raise RulesError(f"walk_mps {book.rules.walk_mps:g} is not below drive_mps {book.rules.drive_mps:g}")
    return book


def _tables(stated: dict[str, Any], level: str) -> dict[str, dict[str, Any]]:
    """The tables ``[level.x]`` by x, taken out of what is stated."""
    tables = stated.pop(level, {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise RulesError(f"[{level}]: rules stand in a table of their own, [{level}.name]")
    return tables


def _checked(stated: dict[str, Any], where: str, known: tuple[str, ...]) -> dict[str, float]:
    """The rules of one table; raises RulesError for the first that is wrong."""
    for name, value in stated.items():
        if name not in known:
            raise RulesError(f"{where}: {_unknown(name, known)}")
        low, high = RANGES[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise RulesError(f"{where}: {name} = {value!r} is not a number from {low:g} to {high:g}")
    return {name: float(value) for name, value in stated.items()}


def _unknown(name: str, known: tuple[str, ...]) -> str:
    if name in Rules._fields:
        return f"{name} is about a device's evidence, not about a place: it can only be set at the top"
    close = difflib.get_close_matches(name, known, n=1)
    return f"there is no rule {name!r}; " + (f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}")
