"""What a process of the API does of its own accord, beside its requests."""

import asyncio
from abc import ABC, abstractmethod


class Background(ABC):
    """Goes on from ``start`` until ``stop``."""

    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._tend())

    async def stop(self) -> None:
        """End; what is left is for others, or for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @abstractmethod
    async def _tend(self) -> None:
        """Go on for ever."""
