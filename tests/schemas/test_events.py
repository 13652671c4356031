"""Events as they are published: their schemas, their examples, and CloudEvents' own reader."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cloudevents.http import from_json

from schemas import wire
from schemas.event import EVENT_TYPES, OWN_STATE, Event, JobMoved, data_schema, schema_of
from schemas.event_examples import EXAMPLES as CODED
from schemas.event_examples import example_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "events"
PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("event_type", [*EVENT_TYPES, OWN_STATE])
def test_the_published_schema_is_that_of_the_code(event_type: str) -> None:
    """A file that differs is written anew: look at what has changed, and whether receivers can live with it."""
    path = FOLDER / f"{event_type}.json"
    text = json.dumps(data_schema(event_type), indent=2, ensure_ascii=False) + "\n"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if before != text:
        path.write_text(text, encoding="utf-8")
    assert before == text, f"{path.name} was not up to date"


def test_no_other_schema_is_published() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == {*EVENT_TYPES, OWN_STATE}


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["type"] for example in EXAMPLES])
def test_an_example_is_an_event(example: dict[str, Any]) -> None:
    event = wire.decode(Event, json.dumps(example))
    read = from_json(wire.encode(event))
    assert (read["id"], read["type"], read["specversion"]) == (event.id, event.type, "1.0")
    assert example["dataschema"] == schema_of(event.type)
    jsonschema.validate(example["data"], data_schema(event.type))


def test_the_page_shows_the_examples_of_the_code() -> None:
    assert list(CODED) == EXAMPLES


@pytest.mark.parametrize("event_type", [*EVENT_TYPES, OWN_STATE])
def test_each_type_has_an_example(event_type: str) -> None:
    example = example_of(event_type)
    assert example["type"] == ("job.awaiting_parts" if event_type == OWN_STATE else event_type)
    event = wire.decode(Event, json.dumps(example))
    assert event.dataschema == schema_of(event.type)
    jsonschema.validate(example["data"], data_schema(event_type))
    data = wire.from_builtins(EVENT_TYPES.get(event_type, JobMoved), example["data"], strict=True)
    assert getattr(getattr(data, "entry", None), "state", None) in (None, example["type"].partition(".")[2])


def test_every_kind_of_data_has_an_example_and_every_type_a_line() -> None:
    assert {EVENT_TYPES[example["type"]] for example in EXAMPLES} == set(EVENT_TYPES.values())
    listed = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", PAGE, re.MULTILINE)
    assert set(listed) == set(EVENT_TYPES)
