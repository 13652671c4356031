"""A mail server that remembers what it took."""

import asyncio
import email
import email.policy
import threading
from collections import Counter, defaultdict
from typing import Any

from aiosmtpd.controller import Controller

from infra.embedded.ports import reserve_free


class Mailbox:
    """A mail server that takes its time; what it has taken, by recipient and key."""

    def __init__(self) -> None:
        self.port = reserve_free()
        self.taken: dict[str, Counter[str]] = defaultdict(Counter)
        self._lock = threading.Lock()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        with self._lock:
            self.taken[str(mail["To"])][str(mail["X-Onsite-Notice"])] += 1
        await asyncio.sleep(0.2)  # taken, and the notifier does not know it yet
        return "250 OK"

    def keys_of(self, customer: str) -> set[str]:
        with self._lock:
            return set(self.taken[f"{customer}@example.com"])

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()
