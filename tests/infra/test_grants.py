"""What goes with a role."""

import pytest

from infra.errors import CommandError
from infra.grants import Grant, grant


def test_what_goes_together() -> None:
    assert grant("viewer") == Grant("viewer", None, None)
    assert grant("dispatcher", ["north", "hull", "north"]) == Grant("dispatcher", ["hull", "north"], None)
    assert grant("technician", (), "amina") == Grant("technician", None, "amina")


@pytest.mark.parametrize(
    ("role", "branches", "technician_id", "says"),
    [
        ("admin", ["north"], "", "--branch"),
        ("operations_manager", ["north"], "", "--branch"),
        ("device", ["north"], "", "--branch"),
        ("technician", ["north"], "amina", "--branch"),
        ("viewer", [" "], "", "--branch"),
        ("technician", [], "", "--technician"),
        ("viewer", [], "amina", "--technician"),
    ],
)
def test_what_does_not(role: str, branches: list[str], technician_id: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        grant(role, branches, technician_id)  # type: ignore[arg-type]
