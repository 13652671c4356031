"""The customer's page in its languages: each says all of it, days and distances as people there write them."""

import re
from datetime import datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.tracking.answers import ShownPosition, TrackingAnswer
from api.tracking.page import STEPS, chart_of, page_of
from api.tracking.words import LANGUAGES, WORDS, Language, day_of, distance_of, language_of
from dispatch.tracking import CustomerState
from schemas.times import Instant

NOON_MS = 1_772_452_800_000


def fields_of(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_says_all_of_it_with_the_same_fields(language: Language) -> None:
    words = WORDS[language]
    assert words.keys() == WORDS["en"].keys()
    for key, text in words.items():
        assert text.strip() == text != ""
        assert fields_of(text) == fields_of(WORDS["en"][key]), key
    assert set(get_args(CustomerState)) <= words.keys()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", get_args(CustomerState))
@pytest.mark.parametrize("technician", [None, "Amina"])
def test_every_state_makes_a_page(language: Language, state: CustomerState, technician: str | None) -> None:
    answer = TrackingAnswer(
        state=state,
        title="",
        from_ms=Instant(NOON_MS),
        to_ms=Instant(NOON_MS + 7_200_000),
        technician=technician,
        can_write=True,
        can_rate=False,
        time_zone="Europe/Zurich",
        expires_at=Instant(NOON_MS),
    )
    page = page_of(answer, language, NOON_MS)
    assert page.headline
    assert len(page.steps) == len(STEPS)
    assert sum(is_present for _, _, is_present in page.steps) == (state in {*STEPS, "unfinished"})
    assert ("13:00" in " ".join(page.lines)) == (state in ("scheduled", "on_the_way")), "by the customer's clock"


@pytest.mark.parametrize(
    ("stated", "accepted", "language"),
    [
        ("de", "fr", "de"),
        ("de-CH", "", "de"),
        ("IT_it", "", "it"),
        ("rm", "fr", "fr"),
        (None, "rm, de;q=0.3, fr;q=0.8", "fr"),
        (None, "*", "en"),
        (None, "", "en"),
        (None, "de;q=x, fr", "fr"),
        ("", ";;;,,,q=", "en"),
    ],
)
def test_which_language(stated: str | None, accepted: str, language: str) -> None:
    assert language_of(stated, accepted) == language


@given(st.none() | st.text(), st.text())
def test_whatever_is_accepted_there_is_a_language(stated: str | None, accepted: str) -> None:
    assert language_of(stated, accepted) in LANGUAGES


def test_days_and_distances() -> None:
    day = datetime(2026, 3, 2)
    assert [day_of(day, each) for each in LANGUAGES] == [
        "Monday 2 March",
        "Montag, 2. März",
        "lundi 2 mars",
        "lunedì 2 marzo",
    ]
    assert [distance_of(metres, "en") for metres in (0, 130, 974, 975, 2_340, 15_000)] == [
        "50 m",
        "150 m",
        "950 m",
        "1.0 km",
        "2.3 km",
        "15.0 km",
    ]
    assert distance_of(2_340, "de") == "2,3 km"


@given(st.floats(0, 1e7), st.floats(0, 360))
def test_the_technician_is_drawn_on_the_chart_in_the_right_direction(distance_m: float, bearing_deg: float) -> None:
    x, y = chart_of(ShownPosition(0.0, 0.0, Instant(0), distance_m, bearing_deg))
    assert 14 <= x <= 186
    assert 14 <= y <= 186
    nearer = chart_of(ShownPosition(0.0, 0.0, Instant(0), distance_m / 2, bearing_deg))
    assert (nearer[0] - 100) ** 2 + (nearer[1] - 100) ** 2 <= (x - 100) ** 2 + (y - 100) ** 2 + 60


@pytest.mark.parametrize(("bearing_deg", "place"), [(0, (0, -1)), (90, (1, 0)), (180, (0, 1)), (270, (-1, 0))], ids=str)
def test_north_is_up(bearing_deg: float, place: tuple[int, int]) -> None:
    x, y = chart_of(ShownPosition(0.0, 0.0, Instant(0), 3_000.0, bearing_deg))
    assert (round((x - 100) / 50), round((y - 100) / 50)) == place
