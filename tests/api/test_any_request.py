"""Requests made from the OpenAPI document, good and wrong ones: whatever comes, the answer is one that it knows."""

import json
from typing import Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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


# Not by schema.parametrize, whose tests all have one name: xdist would run one of them.
OPERATIONS: Final = {each.ok().label: each.ok() for each in schema.get_all_operations()}


@pytest.mark.parametrize("label", OPERATIONS)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_answer_is_one_that_the_document_knows(label: str, data: st.DataObject) -> None:
    case: Case = data.draw(OPERATIONS[label].as_strategy())
    Door()  # each request finds a new one
    case.validate_response(case.call(headers=AUTHORIZATION), checks=CHECKS)


def test_every_operation_is_tried() -> None:
    paths = Door().app.openapi()["paths"]
    assert len(OPERATIONS) == sum(len(methods) for methods in paths.values()) > 60
