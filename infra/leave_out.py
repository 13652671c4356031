"""What is installed for somebody else's sake, and costs a process of Onsite seconds and memory for nothing."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Final

PANDAS: Final = "pandas"


class _NotHere(MetaPathFinder):
    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> None:
        """Raises ModuleNotFoundError for what is left out; others are asked about everything else."""
        if fullname == PANDAS:
            raise ModuleNotFoundError(f"{PANDAS} is left out of this process", name=PANDAS)


def leave_out_pandas() -> None:
    """Let this process do without pandas, which chdb brings along and Onsite has no use for.

    pyarrow looks for it when it makes its first array or hands one to numpy: 2 s of CPU and 64 MB, in the middle of
    whatever the process is doing. Where there is none it goes on without. Call this before the first array is made.
    """
    sys.meta_path.insert(0, _NotHere())
