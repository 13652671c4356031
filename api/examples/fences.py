"""Fences, and imports of them."""

from typing import Any, Final

FENCE: Final = {
    "type": "Feature",
    "id": "site-7",
    "geometry": {"type": "Point", "coordinates": [-2.9916, 53.4084]},
    "properties": {
        "fence_id": "site-7",
        "kind": "site",
        "version": 1,
        "name": "Royal Liver Building",
        "min_on_site_s": 180.0,
        "radius_m": 60.0,
        "updated_at": "2026-03-01T10:00:00.000Z",
    },
}

FENCES: Final = {"type": "FeatureCollection", "features": [FENCE], "next_cursor": "InNpdGUtNyI"}

_NEW_FENCE: Final = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [-2.9916, 53.4084]},
    "properties": {"name": "Royal Liver Building", "radius_m": 60, "min_on_site_s": 180},
}

FENCE_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "Polygon, MultiPolygon, or Point and LineString with `radius_m`.",
        "content": {
            "application/geo+json": {"schema": {"$ref": "#/components/schemas/Feature"}, "example": _NEW_FENCE}
        },
    }
}

IMPORT_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "Each feature has its `fence_id` as a property, or an `id`.",
        "content": {
            "application/geo+json": {
                "schema": {"$ref": "#/components/schemas/FeatureCollection"},
                "example": {"type": "FeatureCollection", "features": [FENCE]},
            }
        },
    }
}

IMPORT_ANSWER: Final = {
    "imported": 214,
    "unchanged": 3,
    "rejected": [
        {"index": 12, "fence_id": "site-12", "reason": "fence 'site-12': the polygon's ring 0 crosses itself"}
    ],
}
