"""Whether a browser sends a request from a page of our own.

Browsers send a session's cookie by themselves, so a page elsewhere could have it sent; SameSite keeps them from that,
and this from believing it where one does not.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({"same-origin", "none"})


def is_own(connection: HTTPConnection, public_url: str) -> bool:
    """Whether it only reads, comes from a page of our own, or from what is no browser.

    A WebSocket is no read: what it is answered, the page that opened it can read.
    """
    if connection.scope["type"] == "http" and connection.scope["method"] in _READS:
        return True
    fetched_from = connection.headers.get("sec-fetch-site")
    if fetched_from is not None:
        return fetched_from in _OWN
    origin = connection.headers.get("origin")
    if origin is None:
        return True
    own = {connection.headers.get("host", ""), urlsplit(public_url).netloc}
    return urlsplit(origin).netloc in own - {""}
