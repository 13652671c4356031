"""How well an entry of a map fits the words of an address, and which of several is meant. Pure."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from routing.addresses.words import COMMON, COUNTRIES, OF_STREETS, is_number, words_of
from routing.straight_line import distances_m
from schemas.found_place import FoundPlace, GeocodeStatus

_APART_M: Final = 250.0
"""Places nearer to each other than this are one, for a van."""

_POSTCODE_DIGITS: Final = 4
_HALF_A_STREET: Final = ("s", "st", "stra", "stras", "strass")

WHOLE: Final = 3
NEARLY: Final = 2
PARTLY: Final = 1


@dataclass(frozen=True)
class Asked:
    """The words of an address; the last one may be half typed. ``parts`` counts for each the commas before it."""

    words: tuple[str, ...]
    parts: tuple[int, ...]

    @staticmethod
    def of(text: str) -> "Asked":
        """Read."""
        found = [(word, part) for part, some in enumerate(re.split("[,;\n]", text)) for word in words_of(some)]
        return Asked(tuple(word for word, _ in found), tuple(part for _, part in found))

    @property
    def begun(self) -> tuple[str, ...]:
        """What words may begin with that somebody is about to type: ``feldst`` is ``feld``, and half a street."""
        if not self.words or is_number(self.words[-1]):
            return ()
        last = self.words[-1]
        stems = [last.removesuffix(end) for end in _HALF_A_STREET if last.endswith(end)]
        return last, *(stem for stem in stems if len(stem) > 1)

    @property
    def telling(self) -> list[str]:
        """The words that tell places apart; a number may be a postcode."""
        return [each for each in self.words if each not in COMMON | COUNTRIES]

    def words_beside(self, street: Sequence[str]) -> set[str]:
        """The words before and after those of a street, no comma between."""
        places = [place for place, word in enumerate(self.words) if word in street]
        ends = [(min(places), min(places) - 1), (max(places), max(places) + 1)] if places else []
        return {
            self.words[beside]
            for end, beside in ends
            if 0 <= beside < len(self.words) and self.parts[beside] == self.parts[end]
        }

    def numbers_beside(self, street: Sequence[str]) -> list[str]:
        """What may be the number of a house in a street, the likeliest first: it stands beside the street's words."""
        own = Counter(street)
        places = [place for place, word in enumerate(self.words) if word in own]
        same = {self.parts[place] for place in places}
        numbers: list[tuple[bool, int, int, str]] = []
        for place, word in enumerate(self.words):
            if own[word]:
                own[word] -= 1
            elif is_number(word):
                away = min((abs(place - each) for each in places if each != place), default=0)
                numbers.append((self.parts[place] not in same, away, len(word), word))
        return [word for *_, word in sorted(numbers)]


@dataclass(frozen=True)
class Entry:
    """A street or a town of a map, in words; ``around`` are other names of where it is."""

    street: Sequence[str]
    town: Collection[str] = ()
    around: Collection[str] = ()
    postcodes: Collection[str] = ()


@dataclass(frozen=True, order=True)
class Fit:
    """How well an entry fits; the greater the better. ``street``: WHOLE, NEARLY, PARTLY or 0."""

    street: int
    town: int
    is_house: bool
    left_over: int
    """Words that the entry has no place for, counted below 0."""

    @property
    def is_certain(self) -> bool:
        """Whether it can be taken without asking."""
        return self.street >= NEARLY and self.town >= 0 and (self.town > 0 or self.left_over == 0)


def fit_of(asked: Asked, entry: Entry, number: str | None) -> Fit:
    """How an entry fits; ``number`` is the word by which it has the very house."""
    words = set(asked.words)
    missing = [each for each in entry.street if each not in words]
    begun = {each for each in missing if each.startswith(asked.begun)}
    telling = [each for each in entry.street if each not in COMMON] or list(entry.street)
    untold = [each for each in telling if each in missing]
    if not missing:
        street = WHOLE
    elif not untold and not OF_STREETS.intersection(missing):
        street = NEARLY
    elif begun.issuperset(untold) or 2 * len(untold) <= len(telling):
        street = PARTLY
    else:
        street = 0
    others = set((Counter(asked.words) - Counter(entry.street)).elements())
    around = {*entry.around, *entry.postcodes}
    town = 2 if entry.town and others.issuperset(entry.town) else 1 if others & around else 0
    known = {*entry.street, number, *entry.town, *around} | COUNTRIES | COMMON
    left_over = [each for each in asked.words if each not in known and not (begun and each == asked.words[-1])]
    numbers = [each for each in left_over if is_number(each)]
    if not town and any(len(each) >= _POSTCODE_DIGITS and each.isdigit() for each in numbers):
        town = -1  # another postcode
    if street and asked.words_beside(entry.street) & (set(left_over) - set(numbers)):
        street = PARTLY  # Upper Field Road is not Field Road
    words_left = len(left_over) - len(numbers)
    return Fit(street, town, number is not None, -words_left)


def best_first(found: Sequence[tuple[Fit, FoundPlace]]) -> list[FoundPlace]:
    """In order, those marked that fit as well as the best; what fits in part only where nothing else is."""
    if not found:
        return []
    ordered = sorted(found, key=lambda each: each[0], reverse=True)
    best = ordered[0][0]
    if best.street >= NEARLY:
        ordered = [each for each in ordered if each[0].street >= NEARLY]
    return [msgspec.structs.replace(place, is_exact=best.is_certain and fit == best) for fit, place in ordered]


def verdict_on(found: Sequence[FoundPlace]) -> tuple[GeocodeStatus, FoundPlace | None]:
    """Which candidate an address means, the best one being the first; None and why where nobody can say."""
    exact = [each for each in found if each.is_exact]
    if not exact:
        return "not_found", None
    best = exact[0]
    if best.kind == "place":
        return "too_coarse", None
    lat, lon = (np.array([getattr(each, name) for each in exact]) for name in ("lat", "lon"))
    apart_m = distances_m(lat[:1], lon[:1], lat, lon)
    if bool((apart_m > max(_APART_M, best.precision_m)).any()):
        return "ambiguous", None
    return "found", best
