"""A tenant's rules about notices: the table ``notices`` of the rules about jobs."""

from typing import Annotated, Final

import msgspec

from dispatch.notices.texts import Words, check_words
from schemas.notice import Audience, NoticeKind
from schemas.people import Contact, read_clock_time

PLACEHOLDERS: Final = ("email", "phone", "notice_id")
"""What stands in braces in the URL of a channel."""


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way to reach an audience: an Apprise ``url``, or (``webhook``) an event, or neither: a line in the log.

    Raises:
        ValueError: it cannot be.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    audiences: tuple[Audience, ...] = ("customer",)
    url: str | None = None
    webhook: bool = False

    def __post_init__(self) -> None:
        if self.url is not None and self.webhook:
            raise ValueError(f"channel {self.name}: either url or webhook")
        if self.url is not None and not self.url.strip():
            raise ValueError(f"channel {self.name}: url is empty")

    def reaches(self, audience: Audience, contact: Contact | None) -> bool:
        """Whether somebody of an audience can be told by it: all that its URL asks for is known of them."""
        if audience not in self.audiences:
            return False
        asked = self.url or ""
        known = Contact() if contact is None else contact
        return all(getattr(known, name) or f"{{{name}}}" not in asked for name in ("email", "phone"))


LOG_CHANNEL: Final = Channel("log", ("customer", "technician", "dispatcher"))
"""The one there is where a tenant has stated none."""


class NoticeRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is told to whom, by which channel, and when it is too late or too early for it.

    Raises:
        ValueError: a rule that cannot be.
    """

    company: str = "Onsite"
    """In whose name customers are written to."""
    language: str = "en"
    """For whom no language is known."""
    off: tuple[NoticeKind, ...] = ()
    """Kinds that nobody is told of."""
    arriving_soon_min: float = 10.0
    """A customer is told when somebody will be there within so many minutes."""
    delayed_by_min: float = 15.0
    """… and when the end of the window has moved by more than so many."""
    fresh_min: float = 30.0
    """What happened longer ago than this is told to nobody."""
    cap: int = 8
    """Notices to the customer of a job, at most."""
    quiet_from: str = "21:00"
    """No customer is told anything from this time of their day …"""
    quiet_to: str = "07:00"
    """… until this; the same twice: there are no quiet hours."""
    channels: tuple[Channel, ...] = (LOG_CHANNEL,)
    """The first that reaches somebody is taken."""
    texts: dict[str, dict[NoticeKind, Words]] = {}
    """By language and kind, in place of the built-in ones."""

    def __post_init__(self) -> None:
        for name in ("arriving_soon_min", "delayed_by_min", "fresh_min"):
            if not 0 < getattr(self, name) <= 1_440:
                raise ValueError(f"{name}: {getattr(self, name)} is not between 0 and a day")
        if not 0 <= self.cap <= 100:
            raise ValueError(f"cap: {self.cap} is not between 0 and 100")
        read_clock_time(self.quiet_from)
        read_clock_time(self.quiet_to)
        names = [channel.name for channel in self.channels]
        if len(set(names)) < len(names):
            raise ValueError("channels: two have the same name")
        check_words(self.texts, self.language)

    def channel_for(self, audience: Audience, contact: Contact | None) -> Channel | None:
        """The channel by which somebody is told; None: there is none."""
        return next((each for each in self.channels if each.reaches(audience, contact)), None)

    def channel_called(self, name: str | None) -> Channel | None:
        """The channel of a name; None where the rules have it no more."""
        return next((each for each in self.channels if each.name == name), None)
