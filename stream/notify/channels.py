"""The channels of notices: each external send carries the notice's id, so that one that comes again is known by it.

Whatever a channel is told of (addresses, texts, secrets in its URL) stays out of logs and of what is kept.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import quote, urlsplit

import structlog
from apprise import Apprise, AppriseAsset, NotifyFormat, PersistentStoreMode

from dispatch.events import notice_event
from dispatch.notices.rules import Channel
from dispatch.notices.texts import Written
from schemas.clock import Clock
from schemas.notice import Notice
from schemas.people import Contact
from schemas.settings import Settings, secret_called
from schemas.topics import EVENTS
from schemas.wire import encode
from stream.kafka import KafkaLog

KEY_HEADER: Final = "X-Onsite-Notice"
"""What the id of a notice is sent as, by channels that have headers."""

_WITH_HEADERS: Final = frozenset({"mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms"})
"""Apprise's schemas of which ``+Name=value`` in the query is a header."""

_SECRET: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TRIED_WITH: Final = Contact(phone="+441511234567", email="somebody@example.com")

NOT_TAKEN: Final = "the channel did not take it"
OVERDUE: Final = "the channel did not answer in time"

log = structlog.get_logger()


class Channels:
    """Hands notices over. Blocking ones have threads of their own each: a slow one is in nobody's way.

    Raises:
        ValueError: a channel that cannot be, by its name.
    """

    def __init__(self, settings: Settings, clock: Clock, channels: Sequence[Channel], log_: KafkaLog) -> None:
        self._timeout_s = settings.notice_timeout_s
        self._parallel_each = settings.notice_parallel_each
        self._clock = clock
        self._log = log_
        self._urls = {each.name: _with_secrets(each) for each in channels if each.url is not None}
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._asset = AppriseAsset(
            app_id="Onsite",
            app_desc="Onsite",
            service_timeout=0,  # the wait for the thread is bounded instead: Apprise would share threads among all
            storage_mode=PersistentStoreMode.MEMORY,
            allow_templates=False,
        )
        for name, url in self._urls.items():
            if not Apprise(asset=self._asset).add(address_of(url, _TRIED_WITH, "notice")):
                raise ValueError(f"channel {name}: its url is none that Apprise can read")

    async def send(self, channel: Channel, notice: Notice, contact: Contact | None, written: Written) -> str | None:
        """Hand a notice over; why that did not succeed, None where it did."""
        if channel.webhook:
            event = notice_event(notice, written.subject, written.body, self._clock.now_ms())
            await self._log.append_patiently(EVENTS, [(event.subject, encode(event))])
            return None
        if channel.url is None:
            log.info(
                "notice",
                notice_id=notice.notice_id,
                job_id=notice.job_id,
                audience=notice.audience,
                kind=notice.kind,
            )
            return None
        url = address_of(self._urls[channel.name], contact or Contact(), notice.notice_id)
        threads = self._threads.setdefault(
            channel.name, ThreadPoolExecutor(self._parallel_each, f"channel-{channel.name}")
        )
        begun_s = time.monotonic()
        try:
            sending = asyncio.get_running_loop().run_in_executor(threads, self._send, url, written)
            is_taken = await asyncio.wait_for(sending, self._timeout_s)
        except TimeoutError:
            return OVERDUE
        except Exception as error:  # noqa: BLE001 -- a plugin that fails is a channel that did not take it
            log.warning("channel failed", channel=channel.name, error=type(error).__name__)
            return NOT_TAKEN
        seconds = round(time.monotonic() - begun_s, 3)
        log.debug("channel answered", channel=channel.name, taken=is_taken, seconds=seconds)
        return None if is_taken else NOT_TAKEN

    async def stop(self) -> None:
        """Wait for nobody: what is under way may still arrive, and is sent again under the same id."""
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, url: str, written: Written) -> bool:
        sender = Apprise(asset=self._asset)
        if not sender.add(url):
            return False
        for service in sender:
            # Its own 4 s are too few for a slow gateway, which would be told again what it has taken.
            service.socket_connect_timeout = service.socket_read_timeout = self._timeout_s + 1
        return bool(sender.notify(body=written.body, title=written.subject, body_format=NotifyFormat.TEXT))


def address_of(url: str, contact: Contact, notice_id: str) -> str:
    """Where a notice goes: a channel's URL with all that stands in braces, and the notice's id where it has headers."""
    known = {"email": contact.email or "", "phone": contact.phone or "", "notice_id": notice_id}
    for name, value in known.items():
        url = url.replace(f"{{{name}}}", quote(value, safe=""))
    if urlsplit(url).scheme.lower() in _WITH_HEADERS:
        url += f"{'&' if '?' in url else '?'}+{KEY_HEADER}={quote(notice_id, safe='')}"
    return url


def _with_secrets(channel: Channel) -> str:
    """Its URL with the secrets that it names. Raises ValueError for one that is not there."""

    def secret(match: re.Match[str]) -> str:
        value = secret_called(match[1])
        if value is None:
            raise ValueError(f"channel {channel.name}: the environment has no {match[1]}")
        return value

    return _SECRET.sub(secret, channel.url or "")
