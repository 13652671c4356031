"""Pings that were refused, posted again: one by one, each through the door that it came through."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import httpx
import msgspec

from api.http.answers import ACCEPTED_HEADER, REJECTED_HEADER, Page
from infra.delivery import Delivery
from infra.errors import CommandError
from schemas import wire
from schemas.protocols import PROTOCOLS
from schemas.rejected import RejectedPing

PAGE_ITEMS: Final = 200
NOT_WHOLE: Final = "not_whole"
"""An item that was too large to be kept, or was no text: what is kept of it is not what came."""

_AT_ONCE: Final = 4
_REFUSED: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"


class Door(NamedTuple):
    """Where an item goes: the path, the content type of its body, the parameters."""

    path: str
    media_type: str
    parameters: Mapping[str, str]


def door_of(record: RejectedPing) -> Door:
    """The door an item came through. What no door took, a record that nobody could read, goes through Onsite's own."""
    protocol = PROTOCOLS.get(record.protocol)
    if protocol is None or protocol.app is None:
        return Door("/v1/pings", protocol.media_types[0] if protocol else _JSON, {})
    path = f"/v1/ingest/{record.protocol}"
    if not record.raw.startswith("{"):
        return Door(path, _FORM, {})  # a form holds all that stood in the query
    return Door(path, _JSON, {"device_id": record.device_id} if record.device_id else {})


class Redelivery:
    """Reads what was refused, page after page, and posts it; what becomes of it is in the tally of ``delivery``.

    It comes to an end: the pages go back in time from the moment of the start, so what is refused anew does not turn
    up in them, and an item that was refused several times is posted once. ``unposted`` counts what cannot be.
    """

    def __init__(self, delivery: Delivery, filters: Mapping[str, str], on_post: Callable[[], None]) -> None:
        self.sent = 0
        self.unposted: Counter[str] = Counter()
        self._delivery = delivery
        self._filters = filters
        self._on_post = on_post
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Post everything. Raises CommandError when the system will never take it: a wrong key, a wrong address."""
        try:
            async with asyncio.TaskGroup() as posts:
                async for record in self._records():
                    await self._free.acquire()
                    posts.create_task(self._post(record))
        except* CommandError as group:
            raise group.exceptions[0] from None

    async def _records(self) -> AsyncIterator[RejectedPing]:
        seen: set[str] = set()
        cursor: str | None = ""
        while cursor is not None:
            page = await self._page(cursor)
            for record in page.items:
                name = record.content_id()
                if name in seen:
                    continue
                seen.add(name)
                if record.is_whole():
                    yield record
                else:
                    self.unposted[NOT_WHOLE] += 1
            cursor = page.next_cursor

    async def _page(self, cursor: str) -> Page[RejectedPing]:
        parameters = {**self._filters, "limit": str(PAGE_ITEMS)} | ({"cursor": cursor} if cursor else {})
        answer = await self._delivery.request("GET", "/v1/rejected", parameters=parameters)
        if answer is None:
            raise CommandError(f"what was refused cannot be read: {self._delivery.tally.last_failure}")
        if answer.status_code != HTTPStatus.OK:
            raise self._delivery.never(answer)
        return wire.decode(Page[RejectedPing], answer.content)

    async def _post(self, record: RejectedPing) -> None:
        door = door_of(record)
        try:
            answer = await self._delivery.request(
                "POST", door.path, record.raw.encode(), door.media_type, door.parameters
            )
        finally:
            self._free.release()
        self.sent += 1
        self._count(answer)
        self._on_post()

    def _count(self, answer: httpx.Response | None) -> None:
        tally = self._delivery.tally
        if answer is None:
            tally.undelivered += 1
        elif answer.status_code == HTTPStatus.ACCEPTED:
            self._delivery.count(answer)
        elif answer.status_code == HTTPStatus.OK:
            tally.accepted += int(answer.headers[ACCEPTED_HEADER])
            tally.rejected.update(code for code in answer.headers.get(REJECTED_HEADER, "").split(", ") if code)
        elif answer.status_code in _REFUSED:
            tally.rejected[str(msgspec.json.decode(answer.content)["code"])] += 1
        else:
            raise self._delivery.never(answer)
