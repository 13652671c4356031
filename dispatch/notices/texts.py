"""The words of notices: templates by language and kind, the tenant's own in place of the built-in ones."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, get_args
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dispatch.local_time import local_time
from schemas.notice import NoticeKind

LANGUAGES: Final = ("en", "de", "fr", "it")
"""Those that have words for everything."""

_FOLDER: Final = Path(__file__).parent / "words"


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A notice in Jinja2; what it can name is in ``Told``."""

    subject: str
    body: str


class _Language(msgspec.Struct, frozen=True):
    """A file of ``words/``: how a window is written, and a notice of each kind."""

    window: str
    window_on_day: str
    months: list[str]
    kinds: dict[NoticeKind, Words]


@dataclass(frozen=True)
class Told:
    """What a text can name; empty where it is not known. Never where anybody is."""

    company: str
    customer: str
    technician: str
    title: str
    window: str
    link: str
    job_id: str


class Written(NamedTuple):
    """A notice as it goes out."""

    subject: str
    body: str


class TextError(ValueError):
    """A template that cannot be read, or does not come to a text."""


EXAMPLES: Final = (
    Told("Mersey Heating", "Ms Weber", "Amina", "Boiler service", "14:05–14:20", "https://example.com/t/1", "job-4711"),
    Told("Mersey Heating", "", "", "", "", "", "job-4711"),
)
"""Every template is tried with these."""


class Texts:
    """Writes notices. ``own`` are a tenant's words, ``language`` is for whom no other is there."""

    def __init__(self, own: Mapping[str, Mapping[NoticeKind, Words]], language: str) -> None:
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
        self._default = language
        self._templates: dict[tuple[str, NoticeKind], tuple[Template, Template]] = {}
        for name in {*LANGUAGES, *own}:
            for kind, words in (_words_of(name) | dict(own.get(name, {}))).items():
                where = f"texts.{name}.{kind}"
                self._templates[name, kind] = (
                    _template(environment, words.subject, f"{where}.subject"),
                    _template(environment, words.body, f"{where}.body"),
                )

    def language_for(self, stated: str | None) -> str:
        """The language in which somebody is written to; of ``de-CH`` it is ``de``."""
        name = (stated or "").replace("_", "-").partition("-")[0].lower()
        return name if any(language == name for language, _ in self._templates) else self._default

    def write(self, kind: NoticeKind, language: str, told: Told) -> Written:
        """The text of a notice. Raises TextError."""
        subject, body = self._templates.get((language, kind)) or self._templates[self._default, kind]
        facts = asdict(told)
        return Written(" ".join(_rendered(subject, facts).split()), _rendered(body, facts).strip())


def check_words(own: Mapping[str, Mapping[NoticeKind, Words]], language: str) -> None:
    """Raise ValueError that names the template that cannot be, or what the tenant's own language lacks."""
    missing = set(get_args(NoticeKind)) - set(own.get(language, {}))
    if language not in LANGUAGES and missing:
        raise ValueError(f"language: {language!r} has no words of its own for {', '.join(sorted(missing))}")
    if not own:
        return
    texts = Texts(own, language)
    for name, kinds in own.items():
        for kind in kinds:
            for example in EXAMPLES:
                texts.write(kind, name, example)


def window_text(from_ms: int | None, to_ms: int | None, zone: ZoneInfo, now_ms: int, language: str) -> str:
    """A window as the clock of ``zone`` shows it, with the day where that is not today; empty where there is none."""
    begins_ms, ends_ms = from_ms or to_ms, to_ms or from_ms
    if begins_ms is None or ends_ms is None:
        return ""
    begins, ends = local_time(begins_ms, zone), local_time(ends_ms, zone)
    is_today = begins.date() == local_time(now_ms, zone).date()
    times = {"from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}"}
    if language not in LANGUAGES:
        form = "{from}–{to}" if is_today else f"{begins:%Y-%m-%d} {{from}}–{{to}}"
        return form.format_map(times)
    words = _language(language)
    form = words.window if is_today else words.window_on_day
    return form.format_map({**times, "day": begins.day, "month": words.months[begins.month - 1]})


def _words_of(language: str) -> dict[NoticeKind, Words]:
    return dict(_language(language).kinds) if language in LANGUAGES else {}


@lru_cache
def _language(name: str) -> _Language:
    return msgspec.convert(tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8")), _Language)


def _template(environment: ImmutableSandboxedEnvironment, source: str, name: str) -> Template:
    try:
        template = environment.from_string(source)
    except TemplateError as error:
        raise TextError(f"{name}: {error}") from error
    template.name = name
    return template


def _rendered(template: Template, facts: Mapping[str, str]) -> str:
    try:
        return template.render(facts)
    except Exception as error:  # a template may fail as any program does
        raise TextError(f"{template.name}: {error}") from error
