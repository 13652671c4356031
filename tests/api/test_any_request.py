"""Requests made from the OpenAPI document, good and wrong ones: whatever comes, the answer is one that it knows."""

import json
from typing import Final

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, SerializationContext
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.conftest import Door
from tests.fakes import token_of

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
AUTHORIZATION: Final = {"Authorization": f"Bearer {token_of('admin')}"}


@schemathesis.serializer("application/x-ndjson")
def lines(_context: SerializationContext, value: object) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


schema = schemathesis.openapi.from_asgi("/openapi.json", Door().app)


@schema.parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_knows(case: Case) -> None:
    Door()  # each request finds a new one
    case.validate_response(case.call(headers=AUTHORIZATION), checks=CHECKS)
