"""Posting pings to a running system, as a good client does: in batches, again when told to wait, never for ever."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import httpx
import msgspec

from api.http.answers import PingsAnswer
from infra.errors import CommandError
from schemas.ping import Ping

BATCH_PINGS: Final = 1_000
ATTEMPTS: Final = 10
LONGEST_WAIT_S: Final = 60.0
SPREAD_S: Final = 1.0
"""Retry-After has whole seconds: those who are told the same one come within so much after it."""

_NDJSON: Final = "application/x-ndjson"
_WORTH_A_RETRY: Final = {429, 502, 503, 504}

_encoder = msgspec.json.Encoder()


@dataclass
class Tally:
    """What became of the pings so far."""

    accepted: int = 0
    undelivered: int = 0
    repeated: int = 0
    """Posts that were not accepted, whatever became of their pings later."""

    rejected: Counter[str] = field(default_factory=Counter)
    """By reason code."""

    last_failure: str = ""


class Delivery:
    """Posts batches to ``POST /v1/pings`` and keeps the tally; several posts may run side by side.

    A batch is given up after so many ``attempts``, between which it waits ``longest_wait_s`` at most.
    """

    def __init__(
        self,
        url: str,
        token: str,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        attempts: int = ATTEMPTS,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        self.tally = Tally()
        self._attempts = attempts
        self._longest_wait_s = longest_wait_s
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(30.0),
            transport=transport,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post(self, pings: Sequence[Ping]) -> bool:
        """Deliver a batch, and tell whether it was; what was not after all attempts is counted as such.

        Raises CommandError when the system will never take it: a wrong key, a wrong address.
        """
        answer = await self.request("POST", "/v1/pings", _encoder.encode_lines(pings), _NDJSON)
        if answer is None:
            self.tally.undelivered += len(pings)
            return False
        if answer.status_code != HTTPStatus.ACCEPTED:
            self.tally.repeated += 1
            raise self.never(answer)
        self.count(answer)
        return True

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        media_type: str = "",
        parameters: Mapping[str, str] | None = None,
    ) -> httpx.Response | None:
        """The answer to a request, good or bad, once asking again would not change it; None after all attempts."""
        headers = {"Content-Type": media_type} if media_type else {}
        wait_s = 0.0
        for attempt in range(self._attempts):
            await asyncio.sleep(wait_s)
            # Full jitter: many clients that were told to wait do not come back at once.
            wait_s = random.uniform(0.1, min(self._longest_wait_s, 0.2 * 2 ** min(attempt, 10)))
            try:
                response = await self._client.request(method, path, content=body, headers=headers, params=parameters)
            except httpx.TransportError as error:
                self.tally.repeated += 1
                self.tally.last_failure = f"{type(error).__name__}: {error}"
                continue
            if response.status_code not in _WORTH_A_RETRY:
                return response
            self.tally.repeated += 1
            self.tally.last_failure = _told(response)
            if told_s := min(self._longest_wait_s, _retry_after_s(response)):
                wait_s = max(wait_s, told_s + random.uniform(0.0, SPREAD_S))
        return None

    def count(self, response: httpx.Response) -> None:
        """Add what ``POST /v1/pings`` answered to the tally."""
        answer = msgspec.json.decode(response.content, type=PingsAnswer)
        self.tally.accepted += answer.accepted
        self.tally.rejected.update(each.reason.partition(":")[0] for each in answer.rejected)

    def never(self, response: httpx.Response) -> CommandError:
        """The error of an answer after which there is no use in going on."""
        return CommandError(f"{self._client.base_url}: {_told(response)}")


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return float(response.headers.get("retry-after", "0"))
    except ValueError:  # a date: not worth reading for so short a wait
        return 0.0


def _told(response: httpx.Response) -> str:
    try:
        detail = response.json().get("detail", "")
    except (ValueError, AttributeError):
        detail = ""
    return f"{response.status_code} {response.reason_phrase}{': ' if detail else ''}{detail}"
