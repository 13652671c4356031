"""What is answered of stock."""

from decimal import Decimal

import msgspec

from schemas.times import Instant


class LevelAnswer(msgspec.Struct, frozen=True):
    """How much of something is in a van or depot; ``is_low``: less than its ``threshold``.

    Below 0: more was taken than is known to have come. ``moved_at`` is null where nothing ever moved.
    """

    holder: str
    branch: str | None
    sku: str
    quantity: Decimal
    threshold: Decimal | None
    is_low: bool
    moved_at: Instant | None


class MovementOutcome(msgspec.Struct, frozen=True):
    """What came of a movement of a list. ``is_new``: it was not on record before; ``problem`` says why it is not."""

    index: int
    movement_id: str | None
    is_new: bool
    code: str = ""
    problem: str = ""


class MovementsAnswer(msgspec.Struct, frozen=True):
    """In the order of the request."""

    items: list[MovementOutcome]
