"""API keys and device tokens: ``onsite_<id>_<secret>``, known by the hash of the secret."""

import hashlib
import hmac
from typing import Final

from api.auth.principal import Principal, branches_of
from api.http.problems import unauthorized, unavailable
from api.ports import ReadModel
from schemas.key import ApiKey

PREFIX: Final = "onsite_"


def principal_of(token: str, keys: ReadModel[ApiKey]) -> Principal:
    """Whose key it is; raises Problem 401, or 503 while keys are unknown."""
    key_id, _, secret = token.removeprefix(PREFIX).partition("_")
    key = keys.records.get(key_id)
    # Compared for an unknown key too: how long the answer takes says nothing of which keys exist.
    secret_hash = hashlib.sha256(secret.encode()).hexdigest()
    matches = hmac.compare_digest(secret_hash, key.secret_hash if key else "0" * 64)
    if key is None or not matches:
        if not keys.is_caught_up:
            raise unavailable("the keys are still being read")
        raise unauthorized("the key is not known")
    if key.revoked_at is not None:
        raise unauthorized("the key was revoked")
    branches, technician_id = branches_of(key.branches), key.technician_id
    return Principal(
        "key", key.key_id, key.name, key.role, key.device_id, branches=branches, technician_id=technician_id
    )


def is_good(key_id: str, keys: ReadModel[ApiKey]) -> bool:
    """Whether a key that was good when a connection began still is."""
    key = keys.records.get(key_id)
    return key is not None and key.revoked_at is None
