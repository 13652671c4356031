"""Ingest protocols: one file each, bytes to pings, pure. A new one is a file and an entry in ``PROTOCOLS``."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from schemas.ping import Ping
from schemas.protocols import csv, gpslogger, gpx, json, ndjson, osmand, overland, owntracks
from schemas.protocols.item import BodyError, Rejected

__all__ = ["PROTOCOLS", "BodyError", "IngestProtocol", "Rejected", "by_media_type", "read_file"]


@dataclass(frozen=True)
class App:
    """An app people have: its name, the methods it uses, and the JSON that it takes for "all is well"."""

    title: str
    methods: tuple[str, ...] = ("POST",)
    answer: bytes = b""


@dataclass(frozen=True)
class IngestProtocol:
    """A way pings are written; that of an ``app`` has a route of its own, the others are told by their media type.

    ``read(body, parameters, received_ms)`` yields, item by item, a checked ping or why it was rejected, and raises
    BodyError when the body is not of this format at all. ``parameters`` are those of the request (some protocols
    carry the device there); ``received_ms`` is the server's clock, which each ping is checked against and stamped
    with, None for a file.
    """

    media_types: tuple[str, ...]
    suffixes: tuple[str, ...]
    read: Callable[[bytes, Mapping[str, str], int | None], Iterator[Ping | Rejected]]
    app: App | None = None


PROTOCOLS: Final[dict[str, IngestProtocol]] = {
    "json": IngestProtocol(("application/json",), (".json",), json.read),
    "ndjson": IngestProtocol(
        ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"),
        (".ndjson", ".jsonl"),
        ndjson.read,
    ),
    "csv": IngestProtocol(("text/csv",), (".csv",), csv.read),
    "gpx": IngestProtocol(("application/gpx+xml",), (".gpx",), gpx.read),
    "osmand": IngestProtocol((), (), osmand.read, App("Traccar Client and OsmAnd", ("GET", "POST"))),
    "owntracks": IngestProtocol((), (), owntracks.read, App("OwnTracks", answer=b"[]")),
    "overland": IngestProtocol((), (), overland.read, App("Overland", answer=b'{"result":"ok"}')),
    "gpslogger": IngestProtocol((), (), gpslogger.read, App("GPSLogger", ("GET", "POST"))),
}


def by_media_type(media_type: str) -> str | None:
    """The name of the protocol of a media type (without its parameters), None for an unknown one."""
    wanted = media_type.strip().lower()
    return next((name for name, protocol in PROTOCOLS.items() if wanted in protocol.media_types), None)


def read_file(name: str, data: bytes) -> Iterator[Ping | Rejected]:
    """The pings of a file, its protocol told by the suffix of ``name``; a file without devices is its stem's track.

    Raises BodyError for an unknown suffix or a file that is not what its suffix says.
    """
    path = PurePath(name)
    for protocol in PROTOCOLS.values():
        if path.suffix.lower() in protocol.suffixes:
            return protocol.read(data, {"device_id": path.stem}, None)
    known = ", ".join(suffix for protocol in PROTOCOLS.values() for suffix in protocol.suffixes)
    raise BodyError(f"{name}: unknown suffix {path.suffix!r}; known are {known}")
