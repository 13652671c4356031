"""What a request may touch of all there is: what belongs to the branches that who it comes from sees."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from api.auth.principal import Principal
from api.auth.sight import branches_seen, sees, sees_all
from api.http.problems import Problem
from dispatch.holders import Holders
from schemas.fence import FenceRecord
from schemas.job import Job
from schemas.places import Branch, lies_within
from schemas.visit import Visit


@dataclass(frozen=True)
class Scope:
    """Whose request it is, over what decides about branches. ``within`` is a branch that it is narrowed down to."""

    principal: Principal
    branches: Mapping[str, Branch]
    holders: Holders
    fences: Mapping[str, FenceRecord]
    within: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self.within is None and sees_all(self.principal)

    def narrowed(self, branch: str | None) -> "Scope":
        """To a branch and those within it."""
        return replace(self, within=branch)

    def sees(self, branch: str | None) -> bool:
        """Whether what belongs to a branch, or (None) to none, is seen."""
        return self.is_inside(branch) and sees(self.principal, branch, self.branches)

    def is_inside(self, branch: str | None) -> bool:
        """Whether it lies within what this is narrowed down to."""
        return self.within is None or lies_within(branch, {self.within}, self.branches)

    def sees_device(self, device_id: str) -> bool:
        """A device belongs to the branch of the technician that holds it."""
        holder = self.holders.holder_of(device_id)
        return self.sees(None if holder is None else holder.branch)

    def sees_fence(self, fence: FenceRecord) -> bool:
        """A fence without a branch is everybody's."""
        return fence.current.branch is None or self.sees(fence.current.branch)

    def sees_visit(self, visit: Visit) -> bool:
        """A visit belongs to the branch of its device, and to that of its fence."""
        if self.sees_device(visit.device_id):
            return True
        fence = self.fences.get(visit.fence_id)
        return fence is not None and fence.current.branch is not None and self.sees(fence.current.branch)

    def sees_job(self, job: Job) -> bool:
        """A technician sees their own jobs, wherever they are; others those of their branches."""
        if self.principal.role == "technician":
            return self.principal.technician_id in job.technician_ids
        return self.sees(job.branch)

    def branches_seen(self) -> tuple[str, ...] | None:
        """The branches that are seen, for the store to look up; None where that is everything."""
        return branches_seen(self.principal, self.branches)

    def branches_within(self) -> tuple[str, ...] | None:
        """The same, narrowed down to the branch that this is narrowed down to and those within it."""
        if self.within is None:
            return self.branches_seen()
        inside = {each for each in (*self.branches, self.within) if lies_within(each, {self.within}, self.branches)}
        return tuple(sorted(branch for branch in inside if self.sees(branch)))

    def require_own(self, what: str, branch: str | None) -> None:
        """Raise Problem 403 where something that is everybody's, having no branch, would be written."""
        if branch is None and not self.is_whole:
            raise Problem(403, "forbidden", f"{what} without a branch is for those who see all branches to write")
