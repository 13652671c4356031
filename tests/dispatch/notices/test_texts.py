"""The words of notices: complete in every language, the tenant's own in their place, and none that cannot be."""

from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from dispatch.notices.texts import EXAMPLES, LANGUAGES, Texts, Told, Words, window_text
from dispatch.rules import read_rules_of_dispatch
from schemas.notice import NoticeKind
from schemas.times import parse_instant

FULL, EMPTY = EXAMPLES


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", get_args(NoticeKind))
def test_every_kind_in_every_language(kind: NoticeKind, language: str) -> None:
    texts = Texts({}, "en")
    for example in EXAMPLES:
        subject, body = texts.write(kind, language, example)
        assert subject
        assert "\n" not in subject
        assert not [each for each in ("None", "{", "  ", " ,", " .") if each in subject + body], (subject, body)
    told = "".join(texts.write(kind, language, FULL))
    english = "".join(texts.write(kind, "en", FULL))
    assert language == "en" or told != english, "in its own words"


@pytest.mark.parametrize(
    ("stated", "found"), [(None, "en"), ("de", "de"), ("de-CH", "de"), ("FR_fr", "fr"), ("ja", "en"), ("", "en")]
)
def test_the_language_of_somebody(stated: str | None, found: str) -> None:
    assert Texts({}, "en").language_for(stated) == found


def test_a_tenants_own_words() -> None:
    own: dict[str, dict[NoticeKind, Words]] = {
        "de": {"en_route": Words("Los", "{{ technician }} fährt los.")},
        "gsw": {"arrived": Words("Da", "Mir sind da, {{ customer }}.")},
    }
    texts = Texts(own, "de")
    assert texts.write("en_route", "de", FULL) == ("Los", "Amina fährt los.")
    assert texts.write("arrived", texts.language_for("gsw"), FULL).body == "Mir sind da, Ms Weber."
    assert texts.write("en_route", "gsw", FULL).body == "Amina fährt los.", "the tenant's language where there is none"


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ('[notices.texts.de.en_route]\nsubject = "x"\nbody = "{{ position }}"', "texts.de.en_route.body: 'position'"),
        ('[notices.texts.de.en_route]\nsubject = "{% if %}"\nbody = "x"', "texts.de.en_route.subject"),
        ('[notices.texts.de.en_route]\nsubject = "x"\nbody = "{{ title.__class__ }}"', "texts.de.en_route.body"),
        ('[notices.texts.de.parked]\nsubject = "x"\nbody = "x"', "parked"),
        ('[notices]\nlanguage = "gsw"', "'gsw' has no words of its own for appointment_set"),
        ('[notices]\nquiet_from = "9 pm"', "'9 pm' is not a time of day"),
        ("[notices]\nfresh_min = 0", "fresh_min: 0"),
        ("[notices]\ncap = -1", "cap: -1"),
        ('[[notices.channels]]\nname = "a"\nurl = "json://x"\nwebhook = true', "channel a: either url or webhook"),
        ('[[notices.channels]]\nname = "a"\n[[notices.channels]]\nname = "a"', "two have the same name"),
    ],
)
def test_what_cannot_be_is_refused_by_name(rules: str, named: str) -> None:
    with pytest.raises(ValueError, match=named.replace("(", r"\(").replace(".", r"\.")):
        read_rules_of_dispatch(rules.encode())


def test_a_name_cannot_add_a_header() -> None:
    told = Told("A\r\nBcc: x@example.com", "", "", "a\nb", "", "", "job-1")
    for kind in get_args(NoticeKind):
        subject, _ = Texts({}, "en").write(kind, "en", told)
        assert len(subject.splitlines()) == 1


@pytest.mark.parametrize(
    ("language", "now", "text"),
    [
        ("en", "2026-03-02T12:00:00Z", "14:05–14:20"),
        ("de", "2026-03-02T12:00:00Z", "14:05–14:20 Uhr"),
        ("de", "2026-03-01T12:00:00Z", "am 2. März, 14:05–14:20 Uhr"),
        ("en", "2026-03-01T12:00:00Z", "on 2 March, 14:05–14:20"),
        ("fr", "2026-03-01T12:00:00Z", "le 2 mars entre 14:05 et 14:20"),
        ("it", "2026-03-01T12:00:00Z", "il 2 marzo tra le 14:05 e le 14:20"),
        ("gsw", "2026-03-01T12:00:00Z", "2026-03-02 14:05–14:20"),
        ("en", "2026-03-01T22:59:59Z", "on 2 March, 14:05–14:20"),
        ("en", "2026-03-01T23:00:00Z", "14:05–14:20"),
    ],
)
def test_a_window_in_local_time(language: str, now: str, text: str) -> None:
    from_ms, to_ms = (int(parse_instant(f"2026-03-02T13:{each}:00Z")) for each in ("05", "20"))
    zone = ZoneInfo("Europe/Berlin")
    assert window_text(from_ms, to_ms, zone, int(parse_instant(now)), language) == text
    assert window_text(None, None, zone, 0, language) == ""
