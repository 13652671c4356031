"""Who sees which branch, and which branch a device belongs to, without HTTP."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth import Principal
from api.auth.sight import branches_seen, lies_within, sees
from dispatch.holders import Holders
from schemas.key import Role
from schemas.people import Technician
from schemas.places import Branch
from schemas.times import Instant

NAMES = st.sampled_from("abcdef")


def company(regions: Mapping[str, str | None]) -> dict[str, Branch]:
    return {branch: Branch(branch=branch, name=branch, region=region) for branch, region in regions.items()}


def principal(role: Role = "viewer", branches: frozenset[str] | None = None) -> Principal:
    return Principal("key", "k", "k", role, branches=branches)


ENGLAND = company({"england": None, "north": "england", "hull": "north", "south": "england"})


@pytest.mark.parametrize(
    ("branches", "seen"),
    [
        (None, {"england", "north", "hull", "south", "unlisted", None}),
        (frozenset(), set()),
        (frozenset({"north"}), {"north", "hull"}),
        (frozenset({"england"}), {"england", "north", "hull", "south"}),
        (frozenset({"hull", "unlisted"}), {"hull", "unlisted"}),
    ],
)
def test_who_sees_a_region_sees_what_is_within(branches: frozenset[str] | None, seen: set[str | None]) -> None:
    everything = [*ENGLAND, "unlisted", None]
    assert {each for each in everything if sees(principal("viewer", branches), each, ENGLAND)} == seen
    assert all(sees(principal("operations_manager", branches), each, ENGLAND) for each in everything)
    assert branches_seen(principal("admin", branches), ENGLAND) is None


def test_regions_that_are_parts_of_each_other_end_nowhere() -> None:
    around = company({"a": "b", "b": "c", "c": "a"})
    assert lies_within("a", {"c"}, around)
    assert not lies_within("a", {"d"}, around)


@given(st.dictionaries(NAMES, st.one_of(st.none(), NAMES)), st.frozensets(NAMES))
def test_the_branches_for_the_store_are_those_that_are_seen(
    regions: dict[str, str | None], branches: frozenset[str]
) -> None:
    around = company(regions)
    who = principal("viewer", branches)
    assert set(branches_seen(who, around) or ()) == {each for each in "abcdef" if sees(who, each, around)}


def technician(technician_id: str, *devices: str, branch: str = "north", removed: bool = False) -> Technician:
    removed_at = Instant(1) if removed else None
    return Technician(
        technician_id=technician_id, name="x", branch=branch, device_ids=list(devices), removed_at=removed_at
    )


def test_who_holds_a_device() -> None:
    told: list[str] = []
    holders = Holders()
    holders.on_change = told.append
    holders.technician_changed("amina", technician("amina", "van", "phone"))
    assert (holders.holder_of("van"), holders.holder_of("ghost")) == (technician("amina", "van", "phone"), None)
    holders.technician_changed("amina", technician("amina", "phone", branch="south"))
    assert holders.holder_of("van") is None
    assert holders.holder_of("phone") == technician("amina", "phone", branch="south")
    holders.technician_changed("ben", technician("ben", "phone"))
    assert holders.holder_of("phone").technician_id == "amina", "whose id comes first"  # type: ignore[union-attr]
    holders.technician_changed("amina", technician("amina", "phone", removed=True))
    assert holders.holder_of("phone") == technician("ben", "phone")
    holders.technician_changed("ben", None)
    assert holders.holder_of("phone") is None
    assert told[:2] in (["phone", "van"], ["van", "phone"])
