"""Entries of the registers as requests make and change them, pure. Raises Problem 400 that says where."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from api.http.problems import Problem
from api.registers.registry import Entry, Register
from schemas import wire
from schemas.merge_patch import merged
from schemas.times import Instant

OWN: Final = ("updated_at", "removed_at", "geocoded")
"""What nobody states: the server writes it."""


def key_of(register: Register, entry: Entry) -> str:
    """The id."""
    key: str = getattr(entry, register.key)
    return key


def etag_of(entry: Entry) -> str:
    """Changes with every change of the entry."""
    return f'"{entry.updated_at:d}"'


def content_of(entry: Entry) -> dict[str, Any]:
    """What people state of it, as JSON: not the point that an address was found at."""
    found = OWN if getattr(entry, "geocoded", None) is None else (*OWN, "lat", "lon")
    return {name: value for name, value in wire.to_builtins(entry).items() if name not in found}


def created(register: Register, content: object, now_ms: Instant) -> Entry:
    """A new entry; where the content states no id, one that nobody has had."""
    fields = dict(_stated(content))
    fields.setdefault(register.key, secrets.token_hex(8))
    return _read(register, fields, now_ms)


def patched(register: Register, before: Entry, patch: object, now_ms: Instant) -> Entry:
    """The entry after a JSON merge patch (RFC 7396); the very same one when that changes nothing."""
    stated = content_of(before)
    content = merged(stated, _stated(patch))
    if content.get(register.key) != key_of(register, before):
        raise Problem(400, "invalid_request", f"$.{register.key}: an id stays as it is")
    after = _read(register, content, _after(before, now_ms))
    return before if is_same(before, after) else after


def removed(before: Entry, now_ms: Instant) -> Entry:
    """The entry after it was removed."""
    at = _after(before, now_ms)
    return msgspec.structs.replace(before, updated_at=at, removed_at=at)


def is_same(one: Entry, other: Entry) -> bool:
    """Whether the same is stated."""
    return content_of(one) == content_of(other)


def _stated(content: object) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise Problem(400, "invalid_request", "$: send a JSON object")
    for name in OWN:
        if name in content:
            raise Problem(400, "invalid_request", f"$.{name}: the server writes it")
    return content


def _read(register: Register, fields: Mapping[str, Any], updated_at: Instant) -> Entry:
    try:
        entry = wire.decode(register.record, msgspec.json.encode(fields))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Problem(400, "invalid_request", f"{register.kind}: {error}") from error
    return msgspec.structs.replace(entry, updated_at=updated_at)


def _after(before: Entry, now_ms: Instant) -> Instant:
    return Instant(max(now_ms, before.updated_at + 1))
