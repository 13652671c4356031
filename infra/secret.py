"""The secret behind sessions, enrolments and tracking links: a file that all processes of a system read."""

import secrets
from pathlib import Path
from typing import Final

from infra.errors import CommandError
from infra.private_files import read_private, write_private
from schemas.settings import Settings

_LEAST_CHARS: Final = 32


def read_secret(path: Path | None) -> bytes:
    """The secret in the file, or a new one that nobody else knows. Raises CommandError for a file that has none."""
    if path is None:
        return secrets.token_bytes(32)
    try:
        secret = read_private(path)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"ONSITE_SECRET_FILE: {path} cannot be read: {error}") from error
    if len(secret) < _LEAST_CHARS:
        raise CommandError(f"ONSITE_SECRET_FILE: {path} has to hold a line of {_LEAST_CHARS} random characters or more")
    return secret.encode()


def ensure_secret(settings: Settings) -> None:
    """See to it that the settings' file holds one."""
    if settings.secret_file is not None and not read_private(settings.secret_file):
        write_private(settings.secret_file, secrets.token_urlsafe(48))
