"""A part of the map between two meridians and two parallels."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BoundingBox:
    """Degrees; where ``west`` is greater than ``east`` it crosses the antimeridian. Its edges are part of it."""

    west: float
    south: float
    east: float
    north: float

    def holds(self, lat: float, lon: float) -> bool:
        """Whether a position is in it."""
        width = self.east - self.west
        if width < 0:
            width += 360.0
        return self.south <= lat <= self.north and (lon - self.west) % 360.0 <= width


def read_bounding_box(text: str) -> BoundingBox:
    """``west,south,east,north``; raises ValueError that says what is wrong with it."""
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError as error:
        raise ValueError("bbox is four numbers: west,south,east,north") from error
    if not all(-180 <= lon <= 180 for lon in (west, east)):
        raise ValueError("west and east of bbox are longitudes from -180 to 180")
    if not all(-90 <= lat <= 90 for lat in (south, north)):
        raise ValueError("south and north of bbox are latitudes from -90 to 90")
    if south > north:
        raise ValueError("south of bbox is greater than north")
    return BoundingBox(west, south, east, north)
