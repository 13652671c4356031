"""What is held of somebody, from the API into a file: whole or not at all."""

import os
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx
import msgspec

from infra.errors import CommandError

_TIMEOUT_S: Final = 60.0


class _End(msgspec.Struct, tag_field="kind", tag="end"):
    data: dict[str, int]


async def fetch(
    url: str, token: str, path: str, output: Path, transport: httpx.AsyncBaseTransport | None = None
) -> int:
    """Write what a path answers to a file that its owner alone can read; the number of its lines.

    Raises CommandError where it is refused, or does not come to its end.
    """
    fresh = output.with_name(output.name + ".part")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            headers = {"Authorization": f"Bearer {token}"}
            async with (
                httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT_S, transport=transport) as client,
                client.stream("GET", path) as answer,
            ):
                if answer.status_code != HTTPStatus.OK:
                    raise CommandError(f"{url}: {told(await answer.aread(), answer)}")
                count, last = 0, b""
                async for piece in answer.aiter_bytes():
                    file.write(piece)
                    count += piece.count(b"\n")
                    last = (last + piece).rstrip(b"\n").rpartition(b"\n")[2]
        _require_end(last, count, url)
        fresh.replace(output)
    except httpx.HTTPError as error:
        raise CommandError(f"{url}: {type(error).__name__}: {error}") from error
    except OSError as error:
        raise CommandError(f"{output}: cannot be written: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return count


def _require_end(last: bytes, count: int, url: str) -> None:
    try:
        end = msgspec.json.decode(last, type=_End)
    except msgspec.MsgspecError as error:
        raise CommandError(f"{url}: the answer breaks off; try again") from error
    if end.data.get("lines") != count - 1:
        raise CommandError(f"{url}: the answer is not whole; try again")


def told(body: bytes, answer: httpx.Response) -> str:
    """Why a request was refused, in a line."""
    try:
        detail = str(msgspec.json.decode(body)["detail"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        detail = answer.reason_phrase
    return f"{answer.status_code}: {detail}"
