"""Options of ``numba.njit`` for what is called for every fix."""

from typing import Any, Final

UNCOUNTED: Final[dict[str, Any]] = {"cache": True, "nogil": True, "_nrt": False}
"""For functions that neither make nor return arrays: theirs are held by whoever calls them, so that no references are
counted. Numba counts each array of a named tuple at each use, by atomic operations; that was a third of the time."""

COUNTED: Final[dict[str, Any]] = {"cache": True, "nogil": True, "_nrt": True}
"""For functions that are called from such ones and do make arrays: unless it is said, they are compiled like these."""
