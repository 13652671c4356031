"""Which webhook is told of which event. Pure."""

from collections.abc import Mapping

from schemas.event import Event
from schemas.places import Branch, lies_within
from schemas.webhook import Webhook


def wants(webhook: Webhook, event: Event, branches: Mapping[str, Branch]) -> bool:
    """Whether the webhook is for events of this type, and the event of its branch or one within that."""
    return any(matches(pattern, event.type) for pattern in webhook.events) and may_see(webhook, event, branches)


def may_see(webhook: Webhook, event: Event, branches: Mapping[str, Branch]) -> bool:
    """Whether the event belongs to the webhook's branch; a webhook without one is told of everything."""
    if webhook.branch is None:
        return True
    regions = {webhook.branch}
    return any(lies_within(branch, regions, branches) for branch in (event.branch, event.branch_of_fence))


def matches(pattern: str, event_type: str) -> bool:
    """``*`` is every type, ``job.*`` every one that begins with ``job.``."""
    return event_type.startswith(pattern[:-1]) if pattern.endswith("*") else event_type == pattern
