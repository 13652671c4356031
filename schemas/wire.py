"""Records to JSON and back; an ``Instant`` travels as RFC 3339 UTC."""

import inspect
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from schemas.times import Instant, format_instant, parse_instant

Record = TypeVar("Record", bound=msgspec.Struct)

_MOMENTS: Final = 16_384
"""So many are kept with their words: what is read is read again, a log with each revision."""

_words_of = lru_cache(_MOMENTS)(format_instant)
_moment_of = lru_cache(_MOMENTS)(parse_instant)


def _encode_instant(value: Any) -> str:
    if isinstance(value, Instant):
        return _words_of(value)
    raise NotImplementedError(f"no wire form for {type(value).__name__}")


def _decode_instant(kind: type, value: Any) -> Any:
    if kind is not Instant:
        raise NotImplementedError(f"no wire form for {kind.__name__}")
    return _moment_of(value) if type(value) is str else parse_instant(value)


def _schema_of_type(kind: type) -> dict[str, Any]:
    """What msgspec's JSON Schema generator asks of a type of our own."""
    if kind is Instant:
        return {"type": "string", "format": "date-time"}
    raise NotImplementedError(f"no JSON Schema for {kind.__name__}")


_encoder = msgspec.json.Encoder(enc_hook=_encode_instant)
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def encode(record: object) -> bytes:
    """The JSON of a record, or of lists and dicts of records."""
    return _encoder.encode(record)


def decode(kind: type[Record], data: bytes | str) -> Record:
    """The record of a JSON object; raises msgspec.ValidationError or msgspec.DecodeError."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=_decode_instant)
    return decoder.decode(data)  # type: ignore[no-any-return]


def to_builtins(record: msgspec.Struct) -> dict[str, Any]:
    """The same JSON object as plain Python values."""
    return msgspec.to_builtins(record, enc_hook=_encode_instant)  # type: ignore[no-any-return]


def from_builtins(kind: type[Record], value: object, *, strict: bool = False) -> Record:
    """The record of plain Python values; numbers written as text are read (CSV, query strings) unless ``strict``."""
    return msgspec.convert(value, kind, strict=strict, dec_hook=_decode_instant)


def json_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The published JSON Schema of a record."""
    [schema], definitions = json_schemas([kind], "#/$defs/{name}")
    return {**schema, "$defs": definitions}


def json_schemas(kinds: Iterable[Any], ref_template: str) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """The JSON Schemas of several types, and the definitions by name that they refer to."""
    schemas, definitions = msgspec.json.schema_components(kinds, schema_hook=_schema_of_type, ref_template=ref_template)
    for definition in definitions.values():
        if "description" in definition:  # a docstring, in which Python before 3.13 leaves the margin
            definition["description"] = inspect.cleandoc(definition["description"])
    return schemas, definitions
