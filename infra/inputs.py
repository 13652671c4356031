"""The files that commands are given: read whole, or one clear line about what is wrong with them."""

from collections.abc import Collection
from pathlib import Path

from rich.console import Console

from dispatch.rules import DispatchRules, read_rules_of_dispatch
from geofence.fences import read_collection
from geofence.rule_book import RuleBook, RulesError, read_rules
from infra.errors import CommandError
from schemas.fence import FenceError, FenceVersion


def read_fences(path: Path) -> dict[str, FenceVersion]:
    """The fences of a GeoJSON FeatureCollection by id. Raises CommandError."""
    try:
        return dict(read_collection(read_bytes(path)))
    except FenceError as error:
        raise CommandError(f"{path}: {error}") from error


def read_rule_book(path: Path | None) -> RuleBook:
    """The visit rules in a TOML file; the defaults where there is none. Raises CommandError."""
    if path is None:
        return RuleBook()
    try:
        return read_rules(read_bytes(path))
    except RulesError as error:
        raise CommandError(f"{path}: {error}") from error


def read_dispatch_rules(path: Path | None) -> DispatchRules:
    """The rules about jobs in a TOML file; the defaults where there is none. Raises CommandError."""
    if path is None:
        return DispatchRules()
    try:
        return read_rules_of_dispatch(read_bytes(path))
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from error


def warn_of_strangers(rule_book: RuleBook, fence_ids: Collection[str]) -> None:
    """Tell on stderr which fences have rules but are not there; their ids may be misspelt."""
    for fence_id in rule_book.strangers(fence_ids):
        said = f"the rules speak of a fence {fence_id!r} that is not there"
        Console(stderr=True).print(said, highlight=False, markup=False, soft_wrap=True)


def read_bytes(path: Path) -> bytes:
    """Raises CommandError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}") from error
