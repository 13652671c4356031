"""Prometheus metrics of the API."""

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.pings_accepted = Counter(
            "onsite_pings_accepted", "Pings that the broker has confirmed", registry=self.registry
        )
        self.pings_rejected = Counter(
            "onsite_pings_rejected", "Pings that were refused, by reason", ["code"], registry=self.registry
        )
        self.live_readers = Gauge("onsite_live_readers", "Who reads the live feed now", registry=self.registry)
        self.live_messages = Counter("onsite_live_messages", "Messages of the live feed sent", registry=self.registry)
        self.backlogs_refused = Counter(
            "onsite_backlogs_refused",
            "Posts over 64 KiB that were told to come again: for the rate, too many in work, the log behind",
            ["reason"],
            registry=self.registry,
        )
        self.requests_limited = Counter(
            "onsite_requests_limited",
            "Requests that were told to come again, as their token had too many requests or pings",
            ["of"],
            registry=self.registry,
        )
        self.sign_ins = Counter(
            "onsite_sign_ins",
            "Sign-ins of people: in, refused, delayed after too many that were refused",
            ["outcome"],
            registry=self.registry,
        )
        self.addresses = Counter(
            "onsite_addresses_looked_up",
            "Addresses of jobs and sites that were looked up, by what came of it",
            ["status"],
            registry=self.registry,
        )
        self.request_s = Histogram(
            "onsite_request_seconds",
            "Time to answer, by route template",
            ["method", "route", "status"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

        self._request_s_of: dict[tuple[str, str, int], Histogram] = {}

    def answered(self, scope: Scope, status: int, began_s: float) -> None:
        """A request was answered: under its route's template, never its path."""
        key = scope["method"], getattr(scope.get("route"), "path", "unmatched"), status
        histogram = self._request_s_of.get(key)
        if histogram is None:
            histogram = self._request_s_of[key] = self.request_s.labels(*key)
        histogram.observe(time.perf_counter() - began_s)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


class RequestTimer:
    """ASGI middleware that observes how long each answer takes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve and observe."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        status = 500

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observe)
        finally:
            scope["app"].state.services.metrics.answered(scope, status, began_s)
