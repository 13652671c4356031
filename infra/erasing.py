"""A person is erased through the API, followed until Onsite has nothing of them any more."""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import httpx

from infra.errors import CommandError
from infra.export import told

_LOOK_AGAIN_S: Final = 1.0
_TIMEOUT_S: Final = 60.0


async def erase(
    url: str,
    token: str,
    path: str,
    on_progress: Callable[[dict[str, Any]], None],
    *,
    within_s: float,
    transport: httpx.AsyncBaseTransport | None = None,
) -> dict[str, Any]:
    """Order it, or find it under way, and wait; the erasure as it is then.

    Raises CommandError where it is refused, or not done within the time: it goes on then, and can be asked for again.
    """
    headers = {"Authorization": f"Bearer {token}"}
    give_up_s = time.monotonic() + within_s
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT_S, transport=transport) as client:
            erasure = _read(await client.delete(path), url)
            while not erasure["out_of_reach"]:
                on_progress(erasure)
                if time.monotonic() > give_up_s:
                    raise CommandError(
                        f"not done within {within_s:.0f} s: {erasure['trouble'] or erasure['next_step']}; it goes on "
                        f"by itself, see GET {url}/v1/erasures/{erasure['erasure_id']}"
                    )
                await asyncio.sleep(_LOOK_AGAIN_S)
                erasure = _read(await client.get(f"/v1/erasures/{erasure['erasure_id']}"), url)
    except httpx.HTTPError as error:
        raise CommandError(f"{url}: {type(error).__name__}: {error}; ask for the same again, it goes on") from error
    on_progress(erasure)
    return erasure


def _read(answer: httpx.Response, url: str) -> dict[str, Any]:
    if answer.status_code not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        raise CommandError(f"{url}: {told(answer.content, answer)}")
    erasure: dict[str, Any] = answer.json()
    return erasure
