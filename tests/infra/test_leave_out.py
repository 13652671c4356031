"""No process of Onsite loads pandas, which pyarrow would do as soon as it finds it."""

import subprocess
import sys

ARRAYS = """
import sys
{before}
import numpy as np, pyarrow as pa
batch = pa.record_batch({{"ts": np.arange(3), "name": ["a", None, "b"]}})
assert batch.column("ts").to_numpy().tolist() == [0, 1, 2]
assert pa.Table.from_batches([batch]).to_pydict()["name"] == ["a", None, "b"]
print("pandas" in sys.modules)
"""


def loads_pandas(before: str) -> bool:
    answer = subprocess.run([sys.executable, "-c", ARRAYS.format(before=before)], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip() == "True"


def test_arrays_are_made_without_it() -> None:
    assert not loads_pandas("from infra.leave_out import leave_out_pandas; leave_out_pandas()")


def test_it_would_be_loaded_otherwise() -> None:
    assert loads_pandas(""), "pyarrow lets pandas be: infra.leave_out has done its work, and can go"


def test_whoever_asks_for_it_is_told_why_it_is_not_there() -> None:
    code = "from infra.leave_out import leave_out_pandas; leave_out_pandas(); import pandas"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pandas is left out of this process" in answer.stderr
