"""The routes that are called most, served ahead of FastAPI's machinery.

Thirteen layers lie between FastAPI's door and a route's function: they look for the route, solve dependencies, are
ready to close what those opened. That takes longer than a ping does.
"""

import re
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute, APIRouter
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth.renewal import renewed
from api.http.headers import secured


class DirectRoute(APIRoute):
    """Its function takes the request and gives the response, and sees to what stands among its dependencies itself.

    FastAPI documents it, and would serve it as well.
    """


class _Found(NamedTuple):
    route: DirectRoute
    path_params: dict[str, Any]


class DirectRoutes:
    """ASGI in front of an app's ``layers``: serves its direct routes, timed and with the same headers, and leaves it
    the rest.

    What a function raises is answered by the handlers of the app.
    """

    def __init__(self, app: FastAPI, routers: Iterable[APIRouter], layers: ASGIApp) -> None:
        self._app = app
        self._layers = layers
        self._plain: dict[tuple[str, str], _Found] = {}
        self._with_parameters: list[tuple[str, re.Pattern[str], DirectRoute]] = []
        for route in (each for router in routers for each in router.routes if isinstance(each, DirectRoute)):
            for method in route.methods or ():
                if route.param_convertors:
                    self._with_parameters.append((method, route.path_regex, route))
                else:
                    self._plain[method, route.path] = _Found(route, {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] == "http" and (found := self._find(scope["method"], scope["path"])) is not None:
            scope["route"], scope["path_params"] = found
            await self._serve(scope, receive, send)
        else:
            await self._layers(scope, receive, send)

    def _find(self, method: str, path: str) -> _Found | None:
        found = self._plain.get((method, path))
        if found is not None:
            return found
        for asked, pattern, route in self._with_parameters:
            if asked == method and (match := pattern.match(path)):
                values = match.groupdict().items()
                return _Found(route, {name: route.param_convertors[name].convert(value) for name, value in values})
        return None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_s = time.perf_counter()
        status = 500
        try:
            response = await self._response(Request(scope, receive, send))
            response.raw_headers = secured(scope["path"], renewed(scope, response.raw_headers))
            status = response.status_code
            await response(scope, receive, send)
        finally:
            scope["app"].state.services.metrics.answered(scope, status, began_s)

    async def _response(self, request: Request) -> Response:
        try:
            return cast(Response, await request.scope["route"].endpoint(request))
        except Exception as error:  # noqa: BLE001 -- the handler of its kind answers
            return cast(Response, await self._handler_of(error)(request, error))

    def _handler_of(self, error: Exception) -> Any:
        handlers = self._app.exception_handlers
        return next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
