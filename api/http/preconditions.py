"""If-Match and If-None-Match: only what is still as a client has seen it is edited."""

from typing import Annotated

from fastapi import Header

from api.http.problems import Problem

IfMatch = Annotated[str | None, Header(description="edit only the state that has this ETag; `*` = any, but one")]
IfNoneMatch = Annotated[str | None, Header(description="`*` = create only")]
IfChanged = Annotated[str | None, Header(alias="If-None-Match", description="304 where the ETag is still this one")]


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Whether a reader has this state already."""
    return if_none_match is not None and etag in _etags(if_none_match)


def require_match(what: str, etag: str | None, if_match: str | None, if_none_match: str | None = None) -> None:
    """Raise Problem 412 unless the state (None: there is none) is one that the headers ask for.

    ``what`` names the thing for people: ``the fence``.
    """
    headers = {} if etag is None else {"ETag": etag}
    if if_match is not None:
        wanted = _etags(if_match)
        if etag is None or wanted.isdisjoint({"*", etag}):
            raise Problem(412, "changed", f"{what} is not in the state that If-Match asks for", headers)
    if if_none_match is not None and etag is not None and not _etags(if_none_match).isdisjoint({"*", etag}):
        raise Problem(412, "exists", f"{what} is there already", headers)


def _etags(header: str) -> set[str]:
    return {etag.strip() for etag in header.split(",")}
