"""The geocoder that the settings name: none, the file of a loaded map, or a server. One for a process."""

import asyncio
import time
from typing import Any, Final, Protocol

import httpx
import structlog

from routing.addresses.book import AddressBook
from routing.addresses.build import MapFileError
from routing.addresses.kept import KeptAnswers
from routing.addresses.servers import SERVERS
from routing.addresses.words import words_of
from schemas.found_place import FoundPlace
from schemas.settings import Settings

FILE_NAME: Final = "addresses.sqlite"
KEPT_NAME: Final = "geocoder-answers.sqlite"

CANDIDATES: Final = 10
MAX_ADDRESS_CHARS: Final = 300
_AT_ONCE: Final = 2
_PAUSE_S: Final = 30.0
"""A server that failed is left alone for so long."""
_LONGEST_PAUSE_S: Final = 3_600.0
_MAX_ANSWER_BYTES: Final = 1_000_000

log = structlog.get_logger()


class GeocoderUnavailable(Exception):  # noqa: N818 -- a condition of the geocoder
    """It has not answered; ask again later."""


class Geocoder(Protocol):
    """Finds addresses."""

    @property
    def is_there(self) -> bool:
        """Whether there is one to ask."""

    async def find(self, address: str) -> list[FoundPlace]:
        """Candidates, the best first, ``CANDIDATES`` at most. Raises GeocoderUnavailable."""

    async def close(self) -> None:
        """Let go of files and connections."""


class NoGeocoder:
    """Knows nothing."""

    is_there = False

    async def find(self, address: str) -> list[FoundPlace]:  # noqa: ARG002 -- as in the protocol
        """Nothing."""
        return []

    async def close(self) -> None:
        """Nothing to let go of."""


class OfflineGeocoder:
    """Over the address file of a loaded map, which may come, go and be built anew meanwhile."""

    def __init__(self, book: AddressBook) -> None:
        self._book = book

    @property
    def is_there(self) -> bool:
        """Whether a map is loaded."""
        return self._book.is_there()

    async def find(self, address: str) -> list[FoundPlace]:
        """As in the protocol."""
        try:
            return await asyncio.to_thread(self._book.search, address[:MAX_ADDRESS_CHARS], CANDIDATES)
        except MapFileError as error:
            log.warning("the address file cannot be used", reason=str(error))
            raise GeocoderUnavailable(str(error)) from error

    async def close(self) -> None:
        """As in the protocol."""
        self._book.close()


class ServerGeocoder:
    """Over a server of Nominatim or Photon.

    At most ``per_s`` requests a second begin, two are under way; whoever would wait for longer than the timeout is told
    at once that it is busy. A failure is waited out, nobody asks meanwhile.
    """

    is_there = True

    def __init__(self, settings: Settings, kept: KeptAnswers, transport: Any = None) -> None:
        kind, _, url = settings.geocoder.partition("+")
        self._kind, self._server = kind, SERVERS[kind]
        self._url = f"{url.rstrip('/')}/{self._server.path}"
        self._kept = kept
        self._timeout_s = settings.geocoder_timeout_s
        self._turns = _Turns(settings.geocoder_per_s)
        self._under_way = asyncio.Semaphore(_AT_ONCE)
        self._away_until_s = 0.0
        contact = f" (+{settings.geocoder_contact})" if settings.geocoder_contact else ""
        headers = {"User-Agent": f"Onsite/0.1{contact}", "Accept": "application/json"}
        self._client = httpx.AsyncClient(timeout=self._timeout_s, headers=headers, transport=transport)

    async def find(self, address: str) -> list[FoundPlace]:
        """As in the protocol. The same words are asked once while their answer is kept."""
        address = " ".join(address[:MAX_ADDRESS_CHARS].split())
        asked = f"{self._kind} {' '.join(words_of(address))}"
        kept = await asyncio.to_thread(self._kept.get, asked, time.time())
        if kept is not None:
            return kept
        found = await self._ask(address)
        await asyncio.to_thread(self._kept.put, asked, found, time.time())
        return found

    async def close(self) -> None:
        """As in the protocol."""
        await self._client.aclose()
        self._kept.close()

    async def _ask(self, address: str) -> list[FoundPlace]:
        if time.monotonic() < self._away_until_s:
            raise GeocoderUnavailable(f"{self._kind} has failed a moment ago")
        await self._turns.take(self._timeout_s)
        try:
            async with self._under_way, asyncio.timeout(self._timeout_s):
                answer = await self._client.get(self._url, params=self._server.parameters(address, CANDIDATES))
            if answer.status_code != httpx.codes.OK:
                raise self._failed(f"status {answer.status_code}", _retry_after_s(answer))
            if len(answer.content) > _MAX_ANSWER_BYTES:
                raise self._failed("an answer over 1 MB")
            return self._server.read(answer.json(), address)
        except (httpx.HTTPError, TimeoutError) as error:
            raise self._failed(str(error) or type(error).__name__) from error
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise self._failed(f"what it answers is not understood ({error})") from error

    def _failed(self, why: str, pause_s: float = _PAUSE_S) -> GeocoderUnavailable:
        self._away_until_s = time.monotonic() + pause_s
        log.warning("the geocoder has failed", geocoder=self._kind, reason=why, pause_s=pause_s)
        return GeocoderUnavailable(f"{self._kind}: {why}")


class _Turns:
    """A turn each so many seconds."""

    def __init__(self, per_s: float) -> None:
        self._apart_s = 1 / per_s
        self._next_s = 0.0

    async def take(self, within_s: float) -> None:
        """Wait for one's turn; raises GeocoderUnavailable where it is further off."""
        now_s = time.monotonic()
        turn_s = max(now_s, self._next_s)
        if turn_s - now_s > within_s:
            raise GeocoderUnavailable("the geocoder is busy")
        self._next_s = turn_s + self._apart_s
        await asyncio.sleep(turn_s - now_s)


def _retry_after_s(answer: httpx.Response) -> float:
    stated = answer.headers.get("retry-after", "")
    return min(max(float(stated), _PAUSE_S), _LONGEST_PAUSE_S) if stated.isdecimal() else _PAUSE_S


def open_geocoder(settings: Settings) -> Geocoder:
    """The one that ``ONSITE_GEOCODER`` names."""
    if settings.geocoder == "none":
        return NoGeocoder()
    if settings.geocoder:
        kept = KeptAnswers(settings.data_dir / KEPT_NAME, settings.geocoder_kept_days * 86_400.0)
        return ServerGeocoder(settings, kept)
    return OfflineGeocoder(AddressBook(settings.map_folder() / FILE_NAME))
