"""One attempt to tell a receiver: signed, bounded in time and size, and never into a network of one's own."""

import email.utils
import socket
import time
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from dispatch.receivers import is_public, require_receiver
from dispatch.signatures import signed_headers
from schemas import wire
from schemas.clock import Clock
from schemas.event import Event
from schemas.settings import Settings
from schemas.webhook import Attempted, SigningSecret

MAX_ANSWER_BYTES: Final = 4_096
"""What is read of an answer; the connection is closed where there is more."""

SHOWN_CHARS: Final = 500


class PrivateAddressError(OSError):
    """A name that leads to no public address."""


class PublicResolver(AbstractResolver):
    """Gives of a host's addresses those of the public internet: to these, and no others, the connection is made."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises PrivateAddressError where there is none."""
        found = await self._resolver.resolve(host, port, family)
        public = [each for each in found if is_public(each["host"])]
        if not public:
            raise PrivateAddressError(f"{host} is not on the public internet")
        return public

    async def close(self) -> None:
        """Nothing is kept open."""
        await self._resolver.close()


class Sender:
    """Posts events. ``start`` makes its connections, ``stop`` ends them."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Nothing is connected before the first attempt."""
        allow_private = self._settings.webhook_private_addresses
        connector = aiohttp.TCPConnector(
            resolver=None if allow_private else PublicResolver(), limit=0, use_dns_cache=False
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._settings.webhook_timeout_s),
            headers={"User-Agent": "Onsite"},
            auto_decompress=False,
            trust_env=False,
        )

    async def stop(self) -> None:
        """End what is under way."""
        if self._session is not None:
            await self._session.close()

    async def send(self, url: str, signing: Sequence[SigningSecret], event: Event) -> Attempted:
        """What came of it; an answer that never comes, or a URL that may not be asked, is no exception."""
        if self._session is None:
            raise RuntimeError("not started")
        begun_s = time.monotonic()
        body = wire.encode(event)
        headers = signed_headers(event.id, body, signing, int(time.time()), self._clock.now_ms())
        status, error, answer, retry_after_s = None, None, "", None
        try:
            require_receiver(url, allow_private=self._settings.webhook_private_addresses)
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                status = response.status
                retry_after_s = seconds_of(response.headers.get("Retry-After"), time.time())
                answer = await _beginning_of(response)
        except TimeoutError:
            error = f"no answer within {self._settings.webhook_timeout_s:g} s"
        except aiohttp.ClientConnectorError as failure:
            error = str(failure.os_error) or type(failure).__name__
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            error = str(failure) or type(failure).__name__
        if error is not None:
            status = None
        return Attempted(
            status=status,
            error=error,
            answer=answer,
            duration_s=round(time.monotonic() - begun_s, 3),
            retry_after_s=retry_after_s,
        )


async def _beginning_of(response: aiohttp.ClientResponse) -> str:
    read = b""
    while len(read) < MAX_ANSWER_BYTES:
        some = await response.content.read(MAX_ANSWER_BYTES - len(read))
        if not some:
            break
        read += some
    else:
        response.close()
    return read.decode(errors="replace")[:SHOWN_CHARS]


def seconds_of(retry_after: str | None, now_s: float) -> float | None:
    """Of the header Retry-After, seconds or a date; None where it says nothing that can be read."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    parsed: Any = email.utils.parsedate_tz(text)
    if parsed is None:
        return None
    try:
        return max(0.0, email.utils.mktime_tz(parsed) - now_s)
    except (ValueError, OverflowError):
        return None
