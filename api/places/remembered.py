"""Corrected places of addresses, to be looked up by the words of an address. Pure."""

from collections.abc import Sequence

from schemas.remembered_place import RememberedPlace


class RememberedPlaces:
    """``changed`` is called with each change of the topic."""

    def __init__(self) -> None:
        self._by_words: dict[tuple[str | None, tuple[str, ...]], dict[str | None, RememberedPlace]] = {}

    def changed(self, _place_id: str, place: RememberedPlace | None) -> None:
        """Another record."""
        if place is not None:
            self._by_words.setdefault((place.branch, tuple(place.words)), {})[place.customer_id] = place

    def of_address(self, branch: str | None, customer_id: str | None, words: Sequence[str]) -> RememberedPlace | None:
        """That of the customer, else the one that was corrected last in the branch; never that of another branch."""
        known = self._by_words.get((branch, tuple(words)))
        if not known:
            return None
        return known.get(customer_id) or max(known.values(), key=lambda each: each.updated_at)

    def of_customer(self, customer_id: str) -> list[RememberedPlace]:
        """Every one that was corrected for a customer."""
        found = (known.get(customer_id) for known in self._by_words.values())
        return [each for each in found if each is not None]
