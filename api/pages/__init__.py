"""Pages for people, which load nothing: their style stands in them, and the policy names it by its hash."""

import base64
import hashlib
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

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}
_templates: Final = Environment(
    loader=PackageLoader("api", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """The answer with a template's page."""
    content = _templates.get_template(template).render(style=_STYLE, **values)
    return HTMLResponse(content, status_code, _HEADERS)
