"""Service requests in order, the newest first, and those of them that are asked for. Pure."""

import heapq
from collections.abc import Iterable

import msgspec

from schemas.service_request import RequestState, ServiceRequest


class RequestQuery(msgspec.Struct, frozen=True):
    """Which requests. None = any. ``after`` is the (created_at, request_id) that the page follows."""

    states: tuple[RequestState, ...] = ()
    customer_id: str | None = None
    external_id: str | None = None
    after: tuple[int, str] | None = None

    def asks_for(self, request: ServiceRequest) -> bool:
        """Whether the request is one of them."""
        return (
            (not self.states or request.state in self.states)
            and (self.customer_id is None or self.customer_id == request.customer_id)
            and (self.external_id is None or self.external_id == request.external_id)
            and (self.after is None or place_of(request) < self.after)
        )


def place_of(request: ServiceRequest) -> tuple[int, str]:
    """Where a request stands in a list."""
    return int(request.created_at), request.request_id


def listed(requests: Iterable[ServiceRequest], query: RequestQuery, limit: int) -> list[ServiceRequest]:
    """The first ``limit`` of those asked for."""
    return heapq.nlargest(limit, filter(query.asks_for, requests), key=place_of)
