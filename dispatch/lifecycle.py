"""The states of a job and how it may go from one to another: a literal table, to which a tenant can add states."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

Step = Literal["leaving", "arriving", "departing"]
"""What positions tell: a device has left another place towards the job, has arrived there, has left it again."""

PATHS: Final[dict[str, tuple[str, ...]]] = {
    "created": ("scheduled", "dispatched", "en_route", "on_site", "rejected", "cancelled"),
    "scheduled": ("created", "dispatched", "en_route", "on_site", "in_progress", "rejected", "cancelled"),
    "dispatched": ("scheduled", "en_route", "on_site", "in_progress", "rejected", "cancelled"),
    "en_route": ("scheduled", "dispatched", "on_site", "in_progress", "left_incomplete", "rejected", "cancelled"),
    "on_site": ("in_progress", "completed", "left_incomplete", "en_route", "dispatched", "cancelled"),
    "in_progress": ("on_site", "completed", "left_incomplete", "cancelled"),
    "left_incomplete": ("scheduled", "dispatched", "en_route", "on_site", "in_progress", "completed", "cancelled"),
    "completed": ("invoiced", "in_progress", "left_incomplete"),
    "rejected": ("created", "scheduled", "dispatched", "cancelled"),
    "cancelled": ("created", "scheduled", "dispatched"),
    "invoiced": ("completed",),
}
"""From each state, where a person may take a job."""

FOLLOWS: Final[dict[Step, frozenset[str]]] = {
    "leaving": frozenset({"created", "scheduled", "dispatched", "left_incomplete"}),
    "arriving": frozenset({"created", "scheduled", "dispatched", "en_route", "left_incomplete"}),
    "departing": frozenset({"on_site", "in_progress"}),
}
"""From which states a job moves on by itself."""

BEFORE_ARRIVAL: Final = ("created", "scheduled", "dispatched", "en_route")
"""In their order: what is said of a job until somebody is there."""

OVER: Final = frozenset({"completed", "invoiced", "rejected", "cancelled"})
"""Nothing more is expected to happen."""

TECHNICIANS_OWN: Final = frozenset({"en_route", "on_site", "in_progress", "completed", "left_incomplete", "rejected"})
"""The states to which a technician may take an own job; those that a tenant adds between are too."""


class OwnState(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A state that a tenant adds: reached from those of ``from_``, left to those of ``to``.

    To positions it is as the state that it is ``like``.
    """

    from_: tuple[str, ...]
    to: tuple[str, ...]
    like: str = "in_progress"


@dataclass(frozen=True)
class Lifecycle:
    """``paths`` as in ``PATHS``; ``likes`` gives for a tenant's own states the built-in one that each is like."""

    paths: Mapping[str, tuple[str, ...]]
    likes: Mapping[str, str]

    @classmethod
    def extended_by(cls, own: Mapping[str, OwnState]) -> "Lifecycle":
        """The built-in one with a tenant's states. Raises ValueError for states that are not there."""
        names = PATHS.keys() | own.keys()
        paths = {state: list(targets) for state, targets in PATHS.items()}
        for name, state in own.items():
            if name in PATHS:
                raise ValueError(f"states.{name}: there is a state of that name already")
            if state.like not in PATHS:
                raise ValueError(f"states.{name}.like: {state.like!r} is no built-in state")
            for other in (*state.from_, *state.to):
                if other not in names:
                    raise ValueError(f"states.{name}: {other!r} is no state")
        for name, state in own.items():
            paths.setdefault(name, []).extend(each for each in state.to if each not in paths[name])
            for origin in state.from_:
                if name not in paths.setdefault(origin, []):
                    paths[origin].append(name)
        return cls({state: tuple(targets) for state, targets in paths.items()}, {k: v.like for k, v in own.items()})

    def like(self, state: str) -> str:
        """The built-in state that a state is, or is like."""
        return self.likes.get(state, state)

    def is_over(self, state: str) -> bool:
        """Whether nothing more is expected of a job in this state."""
        return self.like(state) in OVER

    def follows(self, state: str, step: Step) -> bool:
        """Whether what positions tell moves a job on from this state."""
        return self.like(state) in FOLLOWS[step]


BUILT_IN: Final = Lifecycle.extended_by({})
