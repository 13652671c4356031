"""Pages for people, which load nothing from elsewhere: their style and their script stand in them, and the policy names
these by their hashes."""

import base64
import hashlib
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

_STYLE: Final = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .6rem .3rem 0 }
th { font-weight: 600; white-space: nowrap; vertical-align: top } td { overflow-wrap: anywhere; font-family: monospace }
svg { width: 15rem; height: 15rem; background: #fff } a.open { display: inline-block; padding: .5rem 1rem;
background: #14507a; color: #fff; border-radius: .3rem; text-decoration: none } footer { color: #56636f }
"""

_templates: Final = Environment(
    loader=PackageLoader("api", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(name: str) -> str:
    return files("api.pages").joinpath(name).read_text(encoding="utf-8")


_CUSTOMERS_STYLE: Final = _text("tracking.css")
_CUSTOMERS_SCRIPT: Final = _text("tracking.js")


def _headers(style: str, more: str = "form-action 'none'") -> dict[str, str]:
    policy = f"default-src 'none'; style-src 'sha256-{_hash(style)}'; base-uri 'none'; {more}; frame-ancestors 'none'"
    return {"Content-Security-Policy": policy, "Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}


_HEADERS: Final = _headers(_STYLE)
_CUSTOMERS_HEADERS: Final = _headers(
    _CUSTOMERS_STYLE, f"script-src 'sha256-{_hash(_CUSTOMERS_SCRIPT)}'; connect-src 'self'; form-action 'self'"
)


def page(template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """The answer with a template's page."""
    content = _templates.get_template(template).render(style=_STYLE, **values)
    return HTMLResponse(content, status_code, _HEADERS)


def customers_page(
    template: str, status_code: int = 200, headers: dict[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """The same of a page for customers, which looks again by itself and has forms."""
    content = _templates.get_template(template).render(style=_CUSTOMERS_STYLE, script=_CUSTOMERS_SCRIPT, **values)
    return HTMLResponse(content, status_code, _CUSTOMERS_HEADERS | (headers or {}))
