"""How the OpenAPI document is told of bodies, answers and errors."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

_FILTERS: Final = {
    "branch": "of this branch, or of one within it",
    "region": "directly within this region",
    "skill": "who have this skill",
    "device": "who hold this device",
    "customer": "of this customer",
}


def filters(names: Iterable[str]) -> dict[str, Any]:
    """What the document says of the query parameters that a register's list is filtered by."""
    schema = {"type": "string"}
    return {
        "parameters": [{"name": name, "in": "query", "schema": schema, "description": _FILTERS[name]} for name in names]
    }


def stated(example: Mapping[str, Any]) -> dict[str, Any]:
    """Of an entry what people state."""
    return {name: value for name, value in example.items() if name != "updated_at"}


def body(schema: str, example: Any, *media_types: str) -> dict[str, Any]:
    """What the document says of a body of JSON; ``schema`` names a component."""
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    return {
        "requestBody": {
            "required": True,
            "content": dict.fromkeys(media_types or ("application/json",), content),
        }
    }


BY_SESSION: Final[list[dict[str, list[str]]]] = [{"Session": []}]
"""What the document says of a request that a session's cookie may come with."""


def one_or_more(schema: str, *, one: Any) -> dict[str, Any]:
    """What the document says of a body that is one thing or a list of them."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    several = {"type": "array", "items": reference, "minItems": 1, "maxItems": 1_000}
    content = {"schema": {"anyOf": [reference, several]}, "examples": {"one": {"value": one}, "list": {"value": [one]}}}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


_PROBLEMS: Final = {
    400: ("malformed_body", "malformed JSON: Expecting value: line 1 column 1 (char 0)"),
    401: ("unauthorized", "send the header Authorization: Bearer <key>"),
    403: ("forbidden", "the role device does not have the permission fences:write"),
    404: ("unknown_device", "no fix of a device 'van-13' was ever seen"),
    409: ("too_many_fixes", "there are more than 1000000 fixes around this visit"),
    410: ("fence_gone", "the fence 'site-7' has ended; see /v1/fences/site-7/versions"),
    412: ("changed", "the fence is not in the state that If-Match asks for"),
    413: ("body_too_large", "the body exceeds 2097152 bytes"),
    422: ("key_reused", "the Idempotency-Key was used for something else before"),
    415: ("unsupported_media_type", "content type 'text/html'; understood are application/json, text/csv"),
    429: ("not_its_turn", "others' backlogs come first; send it again in 7 s"),
    503: ("unavailable", "the broker has not confirmed within 10 s"),
}

_GEOJSON_TYPES: Final = ("Feature", "FeatureCollection")


def problem(status: int) -> dict[str, Any]:
    """The OpenAPI response of an error."""
    code, detail = _PROBLEMS[status]
    phrase = HTTPStatus(status).phrase
    example = {"type": f"urn:onsite:problem:{code}", "title": phrase, "status": status, "code": code, "detail": detail}
    return {
        "description": phrase,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
        },
    }


def answers(status: int, description: str, schema: str | None, example: Any, *errors: int) -> dict[int | str, Any]:
    """The OpenAPI responses of a route: its good answer with an example, and the errors it can give.

    ``schema`` names a component; for GeoJSON it is told by the example.
    """
    answer: dict[str, Any] = {"description": description}
    if example is not None:
        kind = example.get("type") if isinstance(example, dict) else None
        media_type = "application/geo+json" if kind in _GEOJSON_TYPES else "application/json"
        name = kind if kind in _GEOJSON_TYPES else schema
        plain = {"type": "array" if isinstance(example, list) else "object"}
        reference = {"$ref": f"#/components/schemas/{name}"} if name else plain
        answer["content"] = {media_type: {"schema": reference, "example": example}}
    return {status: answer, **{error: problem(error) for error in errors}}
