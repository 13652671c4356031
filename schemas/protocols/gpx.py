"""GPX tracks: each track point is a ping; the file says nothing of the device."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC

import gpxpy
from gpxpy.gpx import GPX, GPXException, GPXTrack, GPXTrackPoint, GPXTrackSegment

from schemas.ping import Ping
from schemas.protocols.item import BodyError, Rejected, read_item
from schemas.times import format_instant


def read(body: bytes, parameters: Mapping[str, str], received_ms: int | None) -> Iterator[Ping | Rejected]:
    """Track points in the order of the file, as pings of ``parameters["device_id"]``.

    A point's dilution of precision (``hdop``) is no accuracy in metres, so none is stated. Waypoints and routes are
    not where a device was. Raises BodyError when the body is no GPX or no device is given.
    """
    device_id = parameters.get("device_id")
    if not device_id:
        raise BodyError("GPX names no device: give device_id as a parameter")
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise BodyError(f"the GPX is not UTF-8 at byte {error.start}") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BodyError("a GPX needs no document type; entities are not expanded")
    if "<gpx" not in text:
        raise BodyError("not a GPX file: it has no <gpx> element")
    try:
        parsed = gpxpy.parse(text)
    except (GPXException, ValueError) as error:
        raise BodyError(f"not a GPX file: {error}") from error
    points = (point for track in parsed.tracks for segment in track.segments for point in segment.points)
    return (_read_point(index, device_id, point, received_ms) for index, point in enumerate(points))


def _read_point(index: int, device_id: str, point: GPXTrackPoint, received_ms: int | None) -> Ping | Rejected:
    fields = {"device_id": device_id, "lat": point.latitude, "lon": point.longitude}
    if point.time is not None:
        # GPX times are UTC by definition, also where the file leaves the zone out.
        moment = point.time if point.time.tzinfo else point.time.replace(tzinfo=UTC)
        fields["ts"] = format_instant(round(moment.timestamp() * 1000))
    if point.elevation is not None:
        fields["altitude_m"] = point.elevation
    speed_mps = point.speed if point.speed is not None else _extension_number(point, "speed")
    if speed_mps is not None:
        fields["speed_mps"] = speed_mps
    bearing_deg = point.course if point.course is not None else _extension_number(point, "course")
    if bearing_deg is not None:
        fields["bearing_deg"] = bearing_deg
    item = read_item(index, fields, b"", received_ms)
    return replace(item, raw=_alone(point)) if isinstance(item, Rejected) else item


def _alone(point: GPXTrackPoint) -> bytes:
    """A GPX document of one point."""
    document = GPX()
    document.tracks.append(GPXTrack())
    document.tracks[0].segments.append(GPXTrackSegment([point]))
    return document.to_xml().encode()


def _extension_number(point: GPXTrackPoint, name: str) -> float | None:
    """A number of Garmin's TrackPointExtension, where GPX 1.1 keeps speed and course."""
    for extension in point.extensions:
        for element in extension.iter():
            if element.tag.rpartition("}")[2] == name:
                try:
                    return float(element.text or "")
                except ValueError:
                    return None
    return None
