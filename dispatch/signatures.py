"""Signatures as Standard Webhooks has them (https://www.standardwebhooks.com), pure."""

import base64
import hashlib
import hmac
from collections.abc import Iterable

from schemas.event import MEDIA_TYPE
from schemas.times import Instant
from schemas.webhook import SECRET_PREFIX, SigningSecret


def signed_headers(
    event_id: str, body: bytes, signing: Iterable[SigningSecret], timestamp_s: int, now_ms: Instant
) -> dict[str, str]:
    """The headers of a request: its id, its time and a signature by each secret that has not expired at ``now_ms``.

    ``timestamp_s`` is the real time in epoch seconds: receivers compare it with their clocks.
    """
    content = b".".join((event_id.encode(), str(timestamp_s).encode(), body))
    valid = [each.secret for each in signing if each.expires_at is None or each.expires_at > now_ms]
    return {
        "content-type": MEDIA_TYPE,
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{_signature(secret, content)}" for secret in valid),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
