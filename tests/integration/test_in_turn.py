"""Two systems on two cores would test each other's patience."""

import pytest


@pytest.mark.integration
def test_the_tests_on_real_parts_stay_in_one_process(request: pytest.FixtureRequest) -> None:
    """By the name that pytest-xdist gives to the members of a group, where it runs them at all."""
    is_worker = hasattr(request.config, "workerinput")
    assert request.node.nodeid.endswith("@real parts") == is_worker
