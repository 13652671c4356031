"""Whose stock a place is, and which of it a request may touch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.auth.scope import Scope
from api.http.problems import Problem
from api.registers.registry import Entry, Name
from schemas.job import JobRecord
from schemas.stock import HOLDERS, PlaceKind, StockPlace

_REGISTER_OF: Final[dict[PlaceKind, tuple[Name, str]]] = {
    "van": ("technicians", "technician"),
    "depot": ("depots", "depot"),
}
"""A van is its technician's."""


@dataclass(frozen=True)
class StockPlaces:
    """The places that there are, as far as who asks may know."""

    entries: Mapping[Name, Mapping[str, Entry]]
    jobs: Mapping[str, JobRecord]
    scope: Scope

    def sees(self, place: StockPlace) -> bool:
        """A technician sees their own van; others the vans and depots of their branches."""
        if self.scope.principal.role == "technician":
            own = StockPlace("van", self.scope.principal.technician_id or "-")
            return place == own and self.scope.is_inside(self.branch_of(place))
        return self.scope.sees(self.branch_of(place))

    def branch_of(self, place: StockPlace) -> str | None:
        """That of the technician, the depot or the job, removed ones too."""
        if place.kind == "job":
            job = self.jobs.get(place.place_id or "")
            return None if job is None else job.branch
        entry = self._entry(place)
        return None if entry is None else entry.branch

    def require(self, place: StockPlace, field: str, *, gives: bool) -> None:
        """Raise Problem 400 for a place that is not there; what was removed can only give (``gives``) what it has."""
        if place.kind == "job":
            job = self.jobs.get(place.place_id or "")
            if job is None or not self.scope.sees_job(job):
                raise Problem(400, "unknown_reference", f"$.{field}: there is no job {place.place_id!r}")
        elif place.kind in HOLDERS:
            entry = self._entry(place)
            if entry is None or not self.sees(place) or not (gives or entry.removed_at is None):
                kind = _REGISTER_OF[place.kind][1]
                raise Problem(400, "unknown_reference", f"$.{field}: there is no {kind} {place.place_id!r}")

    def _entry(self, place: StockPlace) -> Entry | None:
        register = _REGISTER_OF.get(place.kind)
        return None if register is None else self.entries[register[0]].get(place.place_id or "")


def holder_of(name: str) -> StockPlace:
    """The place of ``van:amina`` or ``depot:d-3``; raises Problem 400 for another."""
    kind, _, place_id = name.partition(":")
    if kind not in HOLDERS or not place_id:
        raise Problem(400, "invalid_request", f"holder: {name!r} is neither van:<technician> nor depot:<depot>")
    return StockPlace(kind, place_id)
