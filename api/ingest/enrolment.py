"""Enrolment of a phone: a link that opens a page with what to type, or to scan, for the apps that people have."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
import segno
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from markupsafe import Markup

_HEADER: Final = {"alg": "dir", "enc": "A256GCM"}
_HTTP: Final = 3
_MOVE: Final = 2
"""Numbers of OwnTracks' own, for its mode and how closely it watches."""


class Enrolment(msgspec.Struct, frozen=True):
    """What a link holds."""

    device_id: str
    token: str
    until_s: int


@dataclass(frozen=True)
class AppSetup:
    """How an app is set up: by its link, by the link's code, or by typing."""

    name: str
    link: str
    scan: str
    settings: Mapping[str, str]

    @property
    def code(self) -> Markup:
        """The link as a QR code, in SVG."""
        drawn = segno.make(self.link, error="l").svg_inline(omitsize=True, border=4)
        return Markup(drawn)  # nosec B704


class EnrolmentLinks:
    """Seals an enrolment into a link, so that the link alone opens it and nobody else can make one."""

    def __init__(self, secret: bytes) -> None:
        self._key = OctKey.import_key(hmac.digest(secret, b"enrolments", hashlib.sha256))

    def seal(self, enrolment: Enrolment) -> str:
        """A word for an address."""
        return jwe.encrypt_compact(_HEADER, msgspec.json.encode(enrolment), self._key)

    def open(self, sealed: str) -> Enrolment:
        """What was sealed; raises ValueError for what was not sealed here."""
        try:
            content = jwe.decrypt_compact(sealed, self._key, algorithms=list(_HEADER.values())).plaintext
            return msgspec.json.decode(content or b"", type=Enrolment)
        except (JoseError, ValueError) as error:
            raise ValueError("not a link of this system") from error


def setups(base_url: str, device_id: str, token: str) -> list[AppSetup]:
    """For the apps that take a link. ``base_url`` is where the phone reaches Onsite; docs/devices.md says the same."""
    return [_traccar(base_url, device_id, token), _owntracks(base_url, device_id, token)]


def _traccar(base_url: str, device_id: str, token: str) -> AppSetup:
    # In a link with https the app would drop the address's query, and with it the token.
    url = f"{base_url}/v1/ingest/osmand?{urlencode({'token': token})}"
    settings = {"id": device_id, "url": url, "accuracy": "high", "interval": "15", "distance": "0", "angle": "0"}
    return AppSetup(
        "Traccar Client",
        f"org.traccar.client://config?{urlencode(settings, quote_via=quote)}",
        "Scan the code within the app's settings. An older app takes no such code: type the settings.",
        {
            "Device identifier": device_id,
            "Server URL": url,
            "Location accuracy": "high",
            "Frequency": "15 s",
            "Distance": "0",
            "Angle": "0",
        },
    )


def _owntracks(base_url: str, device_id: str, token: str) -> AppSetup:
    url = f"{base_url}/v1/ingest/owntracks"
    configuration = {
        "_type": "configuration",
        "mode": _HTTP,
        "url": url,
        "auth": True,
        "username": device_id,
        "password": token,
        "deviceId": device_id,
        "tid": device_id[-2:],
        "monitoring": _MOVE,
    }
    inline = base64.b64encode(json.dumps(configuration).encode()).decode()
    return AppSetup(
        "OwnTracks",
        f"owntracks:///config?inline={quote(inline, safe='')}",
        "Scan the code with the phone's camera.",
        {
            "Mode": "HTTP",
            "URL": url,
            "Authentication": "on",
            "User name": device_id,
            "Password": token,
            "Device ID": device_id,
            "Encryption key": "empty",
            "Monitoring": "Move while at work",
        },
    )
