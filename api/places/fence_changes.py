"""What was done to a fence, for the record."""

from api.read_model import is_gone
from schemas import wire
from schemas.audit import Change
from schemas.fence import FenceRecord


def fence_change(before: FenceRecord | None, after: FenceRecord, now_ms: int) -> Change:
    """From one record of it to the next, as of the newest version of each."""
    was = None if before is None or is_gone(before, now_ms) else wire.to_builtins(before.current)
    now = None if is_gone(after, now_ms) else wire.to_builtins(after.current)
    action = "created" if was is None else "edited" if now is not None else "removed"
    return Change(action, "fence", after.fence_id, after.current.branch, was, now)
