"""Stock: movements and levels."""

from typing import Final

from api.examples.describing import one_or_more

MOVEMENT: Final = {
    "movement_id": "7d2c9be07d44105f",
    "sku": "filter-12",
    "quantity": "2",
    "from": {"kind": "depot", "place_id": "d-3"},
    "to": {"kind": "van", "place_id": "amina"},
    "at": "2026-03-02T07:30:00.000Z",
    "recorded_at": "2026-03-02T07:31:12.004Z",
    "actor": "session:amina",
    "reason": "for the week",
}

_NEW_MOVEMENT: Final = {
    name: MOVEMENT[name] for name in ("movement_id", "sku", "quantity", "from", "to", "at", "reason")
}

MOVEMENTS: Final = {"items": [MOVEMENT], "next_cursor": "WzE3NzI0MzY2MDAwMDAsIjdkMmMiXQ"}

MOVEMENT_OUTCOMES: Final = {
    "items": [
        {"index": 0, "movement_id": "7d2c9be07d44105f", "is_new": True, "code": "", "problem": ""},
        {
            "index": 1,
            "is_new": False,
            "code": "unknown_reference",
            "problem": "$.to: there is no technician 'nobody'",
        },
    ]
}

LEVEL: Final = {
    "holder": "van:amina",
    "branch": "liverpool",
    "sku": "filter-12",
    "quantity": "3",
    "threshold": "5",
    "is_low": True,
    "moved_at": "2026-03-02T07:30:00.000Z",
}

STOCK: Final = {"items": [LEVEL], "next_cursor": "InZhbjphbWluYVxuZmlsdGVyLTEyIg"}

MOVEMENTS_BODY: Final = one_or_more("NewMovement", one=_NEW_MOVEMENT)

PARTS_BODY: Final = one_or_more("NewPart", one={"sku": "filter-12", "quantity": "1"})
