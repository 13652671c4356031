"""Values of records where they stand: no bytes object is made of one before somebody asks for it."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Self, overload

import numpy as np
import numpy.typing as npt

NULL: Final = -1
"""Where a value begins and ends that there is not."""


class Values(Sequence[bytes | None]):
    """``spans`` int64[n, 2] tell where in ``text`` each begins and ends; both are -1 where there is no value."""

    __slots__ = ("spans", "text")

    def __init__(self, text: bytes, spans: npt.NDArray[np.int64]) -> None:
        self.text = text
        self.spans = spans

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Self:
        """The same values, put one after the other."""
        lengths = np.fromiter((len(value or b"") for value in values), np.int64, len(values))
        ends = np.cumsum(lengths)
        spans = np.stack((ends - lengths, ends), axis=1)
        spans[[value is None for value in values]] = NULL
        return cls(b"".join(value or b"" for value in values), spans)

    @property
    def null(self) -> npt.NDArray[np.intp]:
        """Which records have no value."""
        return np.flatnonzero(self.spans[:, 0] == NULL)

    def at(self, records: Sequence[int] | npt.NDArray[np.intp]) -> Self:
        """Those of these records, in their order."""
        return type(self)(self.text, self.spans[records])

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[bytes | None]:
        text = self.text
        return iter([None if begin == NULL else text[begin:end] for begin, end in self.spans.tolist()])

    @overload
    def __getitem__(self, index: int) -> bytes | None: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self.text, self.spans[index])
        begin, end = self.spans[index].tolist()
        return None if begin == NULL else self.text[begin:end]
