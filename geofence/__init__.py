"""Where and since when: geodesy, shapes, the kernel and its indexes, fence sets, rules, visits.

Pure: NumPy and Numba, no clock, no I/O, no Kafka. Time is an argument.
"""

import hashlib
from pathlib import Path
from typing import Any

import numba

# Numba looks at a compiled function's own file only, not at those of the functions compiled into it: a folder of its
# own for each state of all sources keeps yesterday's engine out of today's.
_HERE = Path(__file__).parent
_SOURCES = b"".join(path.read_bytes() for path in sorted(_HERE.rglob("*.py")))
_CONFIG: Any = numba.config
_CONFIG.CACHE_DIR = str(
    Path(_CONFIG.CACHE_DIR or _HERE / "__pycache__") / f"compiled-{hashlib.sha256(_SOURCES).hexdigest()[:12]}"
)
