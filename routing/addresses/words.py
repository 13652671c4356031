"""An address as words that are the same however people write it. Pure."""

import re
import unicodedata
from typing import Final

_LETTERS: Final = str.maketrans({"ø": "o", "æ": "a", "œ": "o", "ł": "l", "đ": "d", "ı": "i", "'": "", "’": "", "`": ""})
_UMLAUTS: Final = re.compile("([aou])e")
_NUMBER: Final = r"[0-9]+ ?[a-z]?(?:[-/][0-9]+[a-z]?)*"
_WORDS: Final = re.compile(rf"{_NUMBER}(?![^\W_])|[^\W_]+")

_ALIKE: Final = {
    "str": "strasse",
    "st": ("street", "saint", "sankt"),
    "rd": "road",
    "av": ("avenue", "ave"),
    "ln": "lane",
    "dr": ("drive", "doktor", "doctor"),
    "sq": "square",
    "ct": "court",
    "cl": "close",
    "cres": "crescent",
    "gdns": "gardens",
    "bd": ("boulevard", "blvd", "boul"),
    "pl": ("platz", "place", "plaza"),
    "hwy": "highway",
    "ter": ("terrace", "terr"),
}
"""Spellings of one word, as people shorten it."""

_COUNTRIES: Final = (
    "Liechtenstein FL LI Fürstentum Schweiz Suisse Svizzera Switzerland CH Österreich Austria AT Deutschland Germany "
    "DE France FR Italia Italy IT United Kingdom UK GB England Scotland Wales Ireland IE Eire USA US Canada CA "
    "Nederland Netherlands NL België Belgique Belgium BE Luxembourg LU Danmark Denmark DK Sverige Sweden SE Norge "
    "Norway NO España Spain ES Portugal PT Polska Poland PL"
)
"""What may stand at the end of an address and says nothing within one map."""

_OF_STREETS: Final = "str st rd av ln dr sq ct cl cres gdns bd pl hwy ter weg gasse allee ring rue via chemin way"
"""What many streets are called by: alone it names none."""

_LITTLE: Final = "im in am an auf zum zur der die das dem den the of de da do du des di del della la le les lo et und y"


def _folded(text: str) -> str:
    """Small letters without accents; ß is ss, and ä, ae and a are one."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    plain = "".join(each for each in plain if not unicodedata.combining(each))
    return _UMLAUTS.sub(r"\1", plain)


def _short_forms() -> dict[str, str]:
    found = {}
    for short, longer in _ALIKE.items():
        for each in (longer,) if isinstance(longer, str) else longer:
            found[_folded(each)] = short
    return found


_SHORT: Final = _short_forms()
COUNTRIES: Final = frozenset(_folded(_COUNTRIES).split())
OF_STREETS: Final = frozenset(_OF_STREETS.split())
COMMON: Final = OF_STREETS | frozenset(_LITTLE.split())
"""Words that name nothing by themselves."""


def words_of(text: str) -> list[str]:
    """The words of an address or of a name, in their order: folded, shortened, compounds with a street taken apart."""
    found: list[str] = []
    for word in (each.replace(" ", "") for each in _WORDS.findall(_folded(text))):
        stem = next((word.removesuffix(end) for end in ("strasse", "str") if word.endswith(end)), word)
        if stem != word and len(stem) > 1:
            found += [stem, "str"]
        else:
            found.append(_SHORT.get(word, word))
    return found


def numbers_of(text: str) -> list[str]:
    """The house numbers that a map's own entry states: ``12``, ``12 A``, ``12;14``."""
    return [number for part in re.split("[;,]", text) if (number := "".join(words_of(part)))]


def is_number(word: str) -> bool:
    """Whether a word may be a house number: not where it is half of a postcode."""
    return re.fullmatch(_NUMBER, word) is not None


def without_letter(number: str) -> str:
    """``12`` of ``12a`` and of ``12-14``: the house beside it."""
    digits = re.match("[0-9]+", number)
    return number if digits is None else digits[0]
