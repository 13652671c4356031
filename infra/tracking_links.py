"""Tracking links as a process without an API makes them."""

from dispatch.tracking import TrackingLinks
from infra.secret import read_secret
from schemas.settings import Settings


def open_links(settings: Settings) -> TrackingLinks | None:
    """Links that every API process takes; None where it is not known where customers reach one, or with which secret.

    Raises CommandError for a file that has no secret.
    """
    if not settings.public_url or settings.secret_file is None:
        return None
    return TrackingLinks(read_secret(settings.secret_file), settings.public_url)
