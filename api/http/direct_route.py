"""Routes without FastAPI's solving of dependencies."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class DirectRoute(APIRoute):
    """A route that FastAPI documents and leaves alone: its function takes the request and gives the response.

    Solving dependencies takes longer than a ping does. They stand in the document; the function sees to them itself.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself."""
        return self.endpoint
