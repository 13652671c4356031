"""The registers: technicians, customers, sites, branches and depots. Each has the same routes."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer, Page, write_cursor
from api.http.body import read_body, read_json
from api.http.parameters import Cursor, Limit, cursor_key
from api.http.preconditions import IfChanged, IfMatch, is_known, require_match
from api.http.problems import Problem
from api.places.sites import at_place, patched_at, place_of
from api.read_model import page_of
from api.registers.entries import created, etag_of, is_same, key_of, removed
from api.registers.references import require_references, require_unused
from api.registers.registry import REGISTERS, Entry, Register
from api.registers.writes import entries_of, surroundings_of, write_entry
from api.services import Reach
from schemas.places import Site

_WRITE_ERRORS: Final = (400, 409, 413, 415, 503)


def router_of(register: Register) -> APIRouter:
    """The routes of a register."""
    router = APIRouter(tags=[register.name])
    kind, schema = register.kind, register.record.__name__
    Readable = Annotated[Scope, Depends(scoped(register.read))]  # noqa: N806 -- a type
    Writable = Annotated[Scope, Depends(scoped(register.write))]  # noqa: N806 -- a type
    Key = Annotated[str, Path(alias=register.key, description=f"the {kind}'s id")]  # noqa: N806 -- a type
    path, one = f"/v1/{register.name}", f"/v1/{register.name}/{{{register.key}}}"
    example = dict(register.example)

    @router.get(
        path,
        summary=f"List {register.name}",
        openapi_extra=examples.filters(register.filters),
        responses=examples.answers(
            200, "Some of them, by id", f"{schema}Page", {"items": [example], "next_cursor": "InRoaXMi"}, 400, 503
        ),
    )
    async def list_entries(
        request: Request, services: Reach, scope: Readable, limit: Limit = 100, cursor: Cursor = None
    ) -> JSONAnswer:
        """Those that were not removed, of branches that the asker sees, by id; filters narrow them down together."""
        entries = entries_of(services, register)
        asked = {field: request.query_params.get(name) for name, field in register.filters.items()}
        scope = scope.narrowed(asked.pop("branch", None))
        standing = {
            key: entry
            for key, entry in entries.items()
            if entry.removed_at is None and _fits(entry, asked) and scope.sees(entry.branch)
        }
        found, last = page_of(standing, cursor_key(cursor), limit)
        return JSONAnswer(Page(found, None if last is None else write_cursor(last)))

    @router.post(
        path,
        status_code=201,
        summary=f"Add a {kind}",
        openapi_extra=examples.body(f"New{schema}", examples.stated(example)),
        responses=examples.answers(201, "It is there now", schema, example, *_WRITE_ERRORS)
        | examples.answers(200, "It was there already, as stated", schema, example),
    )
    async def add_entry(request: Request, services: Reach, scope: Writable) -> JSONAnswer:
        """Its id may be stated, or is made. What is there already stays as it is: `409`, or `200` if it is the same."""
        content = read_json(await read_body(request, services.settings.max_body_bytes))
        found = await place_of(content, None, services) if register.name == "sites" else None
        async with services.register_edits:
            entries = entries_of(services, register)
            entry = at_place(created(register, content, services.clock.now_ms()), found)
            key = key_of(register, entry)
            before = entries.get(key)
            if before is not None:
                _require_same(register, before, entry, scope)
                return _answer(before)
            scope.require_own(f"a {kind}", entry.branch)
            require_references(register, None, entry, surroundings_of(services, scope))
            await write_entry(services, register, scope.principal, "created", None, entry)
        return _answer(entry, 201)

    @router.get(
        one,
        summary=f"One {kind}",
        responses=examples.answers(200, "As it is now", schema, example, 404, 410, 503),
    )
    async def get_entry(services: Reach, scope: Readable, key: Key, if_none_match: IfChanged = None) -> Response:
        """With an ETag. One that was removed answers 410."""
        entry = _standing(register, entries_of(services, register), scope, key)
        if is_known(etag_of(entry), if_none_match):
            return Response(status_code=304, headers={"ETag": etag_of(entry)})
        return _answer(entry)

    @router.patch(
        one,
        summary=f"Change a {kind}",
        openapi_extra=examples.body(
            f"{schema}Patch", {"name": example["name"]}, "application/merge-patch+json", "application/json"
        ),
        responses=examples.answers(200, "As it is now", schema, example, 404, 410, 412, *_WRITE_ERRORS),
    )
    async def patch_entry(
        request: Request, services: Reach, scope: Writable, key: Key, if_match: IfMatch = None
    ) -> JSONAnswer:
        """By a JSON merge patch (RFC 7396): what is not named stays, null takes away."""
        patch = read_json(await read_body(request, services.settings.max_body_bytes))
        before = _standing(register, entries_of(services, register), scope, key)
        found = await place_of(patch, before, services) if isinstance(before, Site) else None
        async with services.register_edits:
            before = _standing(register, entries_of(services, register), scope, key)
            require_match(f"the {kind}", etag_of(before), if_match)
            after = patched_at(register, before, patch, found, services.clock.now_ms())
            if after is not before:
                scope.require_own(f"a {kind}", after.branch)
                require_references(register, before, after, surroundings_of(services, scope))
                await write_entry(services, register, scope.principal, "edited", before, after)
        return _answer(after)

    @router.delete(
        one,
        status_code=204,
        summary=f"Remove a {kind}",
        responses=examples.answers(204, "It is listed no more", None, None, 404, 409, 410, 412, 503),
    )
    async def remove_entry(services: Reach, scope: Writable, key: Key, if_match: IfMatch = None) -> Response:
        """It is gone from lists, and its id is not given again; what it was stays on record."""
        async with services.register_edits:
            before = _standing(register, entries_of(services, register), scope, key)
            require_match(f"the {kind}", etag_of(before), if_match)
            require_unused(register, before, surroundings_of(services, scope))
            after = removed(before, services.clock.now_ms())
            await write_entry(services, register, scope.principal, "removed", before, after)
        return Response(status_code=204)

    return router


ROUTERS: Final = tuple(router_of(register) for register in REGISTERS.values())


def _fits(entry: Entry, asked: Mapping[str, str | None]) -> bool:
    return all(value is None or value in _several(getattr(entry, field)) for field, value in asked.items())


def _several(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else (value,)


def _standing(register: Register, entries: Mapping[str, Entry], scope: Scope, key: str) -> Entry:
    entry = entries.get(key)
    if entry is None or not scope.sees(entry.branch):
        raise Problem(404, f"unknown_{register.kind}", f"there is no {register.kind} {key!r}")
    if entry.removed_at is not None:
        raise Problem(410, f"{register.kind}_gone", f"the {register.kind} {key!r} was removed")
    return entry


def _require_same(register: Register, before: Entry, entry: Entry, scope: Scope) -> None:
    key = key_of(register, entry)
    if not scope.sees(before.branch):
        raise Problem(409, "exists", f"the id {key!r} is taken; take another")
    if before.removed_at is not None:
        raise Problem(409, f"{register.kind}_gone", f"the {register.kind} {key!r} was removed; take another id")
    if not is_same(before, entry):
        headers = {"ETag": etag_of(before)}
        raise Problem(409, "exists", f"there is a {register.kind} {key!r} already, and it is another", headers)


def _answer(entry: Entry, status: int = 200) -> JSONAnswer:
    return JSONAnswer(entry, status, {"ETag": etag_of(entry)})
