"""One address, however people write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.addresses.words import is_number, numbers_of, without_letter, words_of


@pytest.mark.parametrize(
    "alike",
    [
        ("Äulestrasse 6", "Aeulestr. 6", "äulestraße 6", "AEULE-STRASSE 6", "Aule Str 6"),
        ("Bahnhofstraße 12a", "Bahnhof Strasse 12 A", "bahnhofstr 12a"),
        ("Rue de l’Église 3", "RUE DE LEGLISE 3"),
        ("St. John's Road 4", "Saint Johns Rd 4"),
        ("10 Downing Street", "10 downing st."),
        ("Sankt-Florin-Strasse", "St. Florinstr."),
        ("Łódzka 1", "lodzka 1"),
        ("ул. Ленина, 5", "УЛ ЛЕНИНА 5"),
    ],
)
def test_spellings_of_one_address(alike: tuple[str, ...]) -> None:
    assert len({tuple(words_of(each)) for each in alike}) == 1, [words_of(each) for each in alike]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bahnhofstrasse 1", "Bahnhofweg 1"),
        ("Feldweg 1", "Feldweg 11"),
        ("Feldweg 1", "Feldweg 1a"),
        ("ул. Ленина, 5", "ул. Мира, 5"),
        ("Flat 1, 2 High Street", "Flat 2, 1 High Street"),
    ],
)
def test_what_is_not_one(one: str, other: str) -> None:
    assert words_of(one) != words_of(other)


@given(st.text(max_size=80))
def test_words_of_words_are_the_same_words(text: str) -> None:
    words = words_of(text)
    assert words_of(", ".join(words)) == words
    assert not any(mark in word for word in words for mark in " \"'*()")


def test_half_a_postcode_is_no_number() -> None:
    words = words_of("High Street, L3 1HU, 12 A")
    assert [word for word in words if is_number(word)] == ["12a"]


@pytest.mark.parametrize(
    ("stated", "numbers"),
    [("12", ["12"]), ("12 A", ["12a"]), ("12;14", ["12", "14"]), ("3-5", ["3-5"]), ("", []), ("7, 9b", ["7", "9b"])],
)
def test_numbers_of_a_map(stated: str, numbers: list[str]) -> None:
    assert numbers_of(stated) == numbers


def test_the_house_beside() -> None:
    assert [without_letter(each) for each in ("12a", "12-14", "12")] == ["12", "12", "12"]
