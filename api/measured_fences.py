"""The fences of the read model as the engine reads them."""

from collections.abc import Mapping

import structlog

from geofence.fences import FenceBook, FenceSet
from geofence.rule_book import RuleBook
from schemas.fence import FenceError, FenceRecord

log = structlog.get_logger()


class MeasuredFences:
    """Measures a fence once, and puts a set together only when fences have changed. For one thread at a time."""

    def __init__(self, rules: RuleBook) -> None:
        self._rules = rules
        self._known: dict[str, FenceRecord] = {}
        self._book = FenceBook()
        self._set = rules.applied_to(self._book.snapshot())

    def of(self, records: Mapping[str, FenceRecord]) -> FenceSet:
        """The set of all versions of these fences, with the rules of each."""
        gone = [fence_id for fence_id in self._known if fence_id not in records]
        changed = [record for fence_id, record in records.items() if self._known.get(fence_id) is not record]
        if not gone and not changed:
            return self._set
        for fence_id in gone:
            self._book.remove(fence_id)
        for record in changed:
            try:
                self._book.put(record)
            except FenceError as error:  # as the tracker does, which never judged by it
                log.warning("impossible fence skipped", fence_id=record.fence_id, error=str(error))
        self._known = dict(records)
        self._set = self._rules.applied_to(self._book.snapshot())
        return self._set
