"""What requests say of stock, read. Raises Problem 400 that says what is wrong where. Pure."""

import hashlib
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from api.http.problems import Problem
from dispatch.job_book import AHEAD_MS
from schemas import wire
from schemas.stock import KINDS, Movement, StockPlace, plain, require_quantity
from schemas.times import Instant, format_instant

MAX_MOVEMENTS: Final = 1_000
"""Of one request."""

SKU_PATTERN: Final = r"^[^\x00-\x1f]+$"

Sku = Annotated[str, msgspec.Meta(max_length=128, pattern=SKU_PATTERN)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Reason = Annotated[str, msgspec.Meta(max_length=1_000)]


class NewMovement(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """So much of something moved, by default now."""

    sku: Sku
    quantity: Decimal
    from_: StockPlace
    to: StockPlace
    movement_id: _Id | None = None
    at: Instant | None = None
    reason: _Reason = ""


class NewPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """So much of something used on a job. ``holder`` is the van or depot that it comes from, by default the van of who
    does the job; ``unit_cost`` is its price where the rates know none.
    """

    sku: Sku
    quantity: Decimal
    holder: str | None = None
    unit_cost: Annotated[float, msgspec.Meta(ge=0.0)] | None = None
    movement_id: _Id | None = None
    at: Instant | None = None
    reason: _Reason = ""


class NewThreshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Below ``level``, it is told."""

    level: Decimal


def read_each(content: object, kind: type[wire.Record]) -> tuple[list["wire.Record | Problem"], bool]:
    """What a request states, one thing or a list of them: each read, or why not; and whether it is a list."""
    if not isinstance(content, list):
        return [_read(kind, content)], False
    if not 1 <= len(content) <= MAX_MOVEMENTS:
        raise Problem(400, "invalid_request", f"$: between 1 and {MAX_MOVEMENTS} of them")
    return [_read(kind, each) for each in content], True


def read_threshold(content: object) -> Decimal:
    """The level."""
    found = _read(NewThreshold, content)
    if isinstance(found, Problem):
        raise found
    try:
        require_quantity(found.level, "$.level")
    except ValueError as error:
        raise Problem(400, "invalid_request", str(error)) from error
    return plain(found.level)


def movement_of(new: NewMovement, movement_id: str, actor: str, now_ms: Instant) -> Movement:
    """The movement as it is recorded."""
    kind = KINDS.get((new.from_.kind, new.to.kind))
    if kind is None:
        raise Problem(400, "invalid_movement", f"$: nothing moves from a {new.from_.kind} to a {new.to.kind}")
    if kind == "correction" and not new.reason.strip():
        raise Problem(400, "invalid_movement", "$.reason: a correction says why")
    at_ms = now_ms if new.at is None else new.at
    if at_ms > now_ms + AHEAD_MS:
        raise Problem(400, "in_the_future", f"$.at: {format_instant(at_ms)} has not come yet")
    try:
        require_quantity(new.quantity, "$.quantity")
        return Movement(
            movement_id=movement_id,
            sku=new.sku,
            quantity=plain(new.quantity),
            from_=new.from_,
            to=new.to,
            at=at_ms,
            recorded_at=now_ms,
            actor=actor,
            reason=new.reason,
        )
    except ValueError as error:
        raise Problem(400, "invalid_movement", str(error)) from error


def movement_id_of(key: str, identity: str, index: int) -> str:
    """The id of a movement that is sent under an Idempotency-Key: sent again, it is the same one."""
    return hashlib.sha256(f"{identity}\n{key}\n{index}".encode()).hexdigest()[:16]


def _read(kind: type[wire.Record], content: object) -> "wire.Record | Problem":
    if not isinstance(content, dict):
        return Problem(400, "invalid_request", "$: send a JSON object, or a list of them")
    try:
        return wire.decode(kind, msgspec.json.encode(content))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        return Problem(400, "invalid_movement", str(error))
