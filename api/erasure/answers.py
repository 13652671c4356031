"""What is shown of an erasure."""

import msgspec

from schemas.erasure import STEPS, Erasure, PersonKind, Remainder, StepName
from schemas.times import Instant


class ErasureAnswer(msgspec.Struct):
    """How far an erasure has come. ``erasure_id`` stands in the place of the person wherever something has to stay.

    ``done`` has how many things each step concerned, ``next_step`` is the one under way and ``trouble`` what it waits
    for. Once ``out_of_reach`` nothing of the person can be had from Onsite; ``remains`` says until when the broker may
    still hold something on its disks. ``finished_at`` is when that was seen to as well.
    """

    erasure_id: str
    kind: PersonKind
    at: Instant
    branch: str | None
    done: dict[StepName, int]
    next_step: StepName | None
    trouble: str
    out_of_reach: bool
    remains: list[Remainder]
    finished_at: Instant | None = None


def answer_of(erasure: Erasure) -> ErasureAnswer:
    """What may be shown of it."""
    return ErasureAnswer(
        erasure.erasure_id,
        erasure.kind,
        erasure.at,
        erasure.branch,
        {step: erasure.done[step] for step in STEPS if step in erasure.done},
        erasure.next_step,
        erasure.trouble,
        erasure.is_out_of_reach,
        erasure.remains,
        erasure.finished_at,
    )
