"""What a tenant may set about visits: thresholds with their defaults, units, meaning and range."""

from typing import Final, NamedTuple


class Rules(NamedTuple):
    """Thresholds of the visit engine, read by compiled code as they are (so floats, not ints).

    Those named in ``PLACE_RULES`` are about a place: what a fence set says of a fence wins over them (``RuleBook``).
    All others are about a device's evidence and are the same everywhere.
    """

    min_on_site_s: float = 120.0
    """A stay shorter than this is a pass and is never logged."""

    max_accuracy_m: float = 250.0
    """A fix that states a larger accuracy radius says nothing and is not used."""

    unstated_error_m: float = 15.0
    """How far off a fix without an accuracy is taken to be, and at most one that states the same as the fix before."""

    max_error_m: float = 30.0
    """A fix is taken to be off by this at most: radii of 65 and 165 m are often pessimistic."""

    walk_mps: float = 1.5
    """Up to this speed a device may be staying somewhere."""

    drive_mps: float = 4.0
    """From this speed on a device is driving, not staying."""

    correlation_s: float = 90.0
    """GPS errors resemble each other over about this long, so many fixes within it are few witnesses."""

    stay_scale_s: float = 900.0
    """Typical time between two changes of place: how readily a stay begins and ends."""

    prior_weight: float = 10.0
    """How much likelier a slow device is at a site of 100,000 m² than beside it; smaller sites weigh more."""

    bridge_s: float = 300.0
    """An absence up to this long, nearby or without driving, does not split a stay (the walk to the van)."""

    bridge_m: float = 60.0
    """How far from the fence an absence counts as nearby."""


PLACE_RULES: Final = ("min_on_site_s", "bridge_s", "bridge_m", "prior_weight")
"""The rules that may differ by fence kind and by fence."""

RANGES: Final[dict[str, tuple[float, float]]] = {
    "min_on_site_s": (0.0, 86_400.0),
    "max_accuracy_m": (1.0, 5_000.0),
    "unstated_error_m": (1.0, 100.0),
    "max_error_m": (1.0, 100.0),
    "walk_mps": (0.0, 10.0),
    "drive_mps": (0.5, 30.0),
    "correlation_s": (1.0, 600.0),
    "stay_scale_s": (60.0, 900.0),
    "prior_weight": (0.0, 300.0),
    "bridge_s": (0.0, 14_400.0),
    "bridge_m": (0.0, 250.0),
}
"""The least and the greatest value of each rule. ``stay_scale_s`` ends where the chain would no longer forget in time
(``visits.chain.FORGETTING``); ``bridge_m`` at the reach of a fence."""
