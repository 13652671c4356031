"""Routes that are served without FastAPI's machinery around them."""

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """A route that FastAPI documents and leaves alone: its function takes the request and gives the response.

    Solving dependencies, and being ready to close what they opened, takes longer than a ping does. They stand in the
    document; the function sees to them itself.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the function. What it raises becomes a problem where that of other routes does."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)  # says what is allowed
            return
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
