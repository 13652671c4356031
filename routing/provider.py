"""What an ETA provider is: places in, travel times by road out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ways:
    """Of each way ``travel_s`` and ``distance_m`` float64[n], and which provider says so."""

    travel_s: Floats
    distance_m: Floats
    providers: list[str]


class Provider(Protocol):
    """Answers for many ways at once, and always: where it knows of no road, another provider's answer stands in."""

    @property
    def name(self) -> str:
        """By which it stands in ``Ways.providers``."""

    def ways(self, lat: Floats, lon: Floats, to_lat: Floats, to_lon: Floats) -> Ways:
        """From each place to its destination, float64[n] degrees."""

    def close(self) -> None:
        """Let go of files, processes and connections."""
