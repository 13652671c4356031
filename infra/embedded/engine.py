"""The ClickHouse engine in this process (chDB), one statement at a time on a connection of its own.

Connections are cheap (0.4 ms) and keep settings, database and read-only mode to themselves; statements on separate
connections run at the same time, on one connection they queue. All calls block: run them in threads.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from chdb import ChdbError
from chdb.session import Session

from infra.embedded.statements import STREAMABLE, Insert, StoreError, output_format, read_error, reads_rows

_connect: Final[Any] = Session  # chDB carries no types
_SETTING_NAME: Final = re.compile(r"\w+")
_LOST_WRITES: Final = "SELECT sum(value) FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed'"
_READONLY: Final = "2"  # as ClickHouse does for GET: reads only, settings may still change


@dataclass(frozen=True)
class Call:
    """What comes with a statement: its database, settings, bound parameters and default output format."""

    database: str
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    default_format: str = "TabSeparated"
    readonly: bool = False
    whole: bool = False
    """Wait for the end of the query before answering, so that any error has its own status."""


@dataclass(frozen=True)
class Answer:
    """A result: its bytes in blocks, its format, and the counts for ``X-ClickHouse-Summary``."""

    format: str
    blocks: Iterable[bytes]
    summary: str
    wrote: bool = False
    """Whether the statement may have written to files."""


class Engine:
    """The engine on one data folder. There can be one in a process."""

    def __init__(self, data_dir: Path, database: str) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._path = f"{data_dir.resolve()}?config-file={_write_config(data_dir.resolve())}"
        self._anchor = _connect(self._path)  # the engine lives as long as one connection does
        self._anchor.query(f"CREATE DATABASE IF NOT EXISTS {quoted_name(database)}")
        self.version = self._anchor.query("SELECT version()", "TabSeparatedRaw").bytes().decode().strip()
        self.timezone = self._anchor.query("SELECT timezone()", "TabSeparatedRaw").bytes().decode().strip()

    def lost_writes(self) -> int:
        """How many writes to files have failed since the start.

        Seen with chDB 26.9: a write that the system refuses (no space left) is counted and otherwise ignored, the
        insert reported as done, its files empty.
        """
        with _connect(self._path) as session:
            counted = session.query(_LOST_WRITES, "TabSeparatedRaw").bytes()
        return int(counted)

    def close(self) -> None:
        """Shut the engine down."""
        self._anchor.close()

    def run(self, statement: str, call: Call) -> Answer:
        """Run any statement without rows attached. Raises StoreError."""
        result_format = output_format(statement, call.default_format)
        if not call.whole and result_format in STREAMABLE and reads_rows(statement):
            blocks = self._stream(statement, call)
            return Answer(result_format, _after_first(blocks), _summary())
        with self._connection(call) as session:
            result = session.query(statement, call.default_format, params=dict(call.parameters))
            summary = _summary(
                read_rows=result.storage_rows_read(),
                read_bytes=result.storage_bytes_read(),
                written_rows=result.rows_written(),
                written_bytes=result.bytes_written(),
                elapsed_ns=round(result.elapsed() * 1e9),
            )
            return Answer(result_format, [result.bytes()], summary, wrote=not reads_rows(statement))

    def insert(self, insert: Insert, rows: Iterable[bytes], call: Call) -> Answer:
        """Feed ``rows``, bytes in the insert's format, in constant memory. Raises StoreError."""
        with self._connection(call) as session, session.send_insert(insert.statement, insert.format) as inserter:
            for chunk in rows:
                inserter.append(chunk)
            done = inserter.finish()
        summary = _summary(
            written_rows=done.rows_written, written_bytes=done.bytes_written, elapsed_ns=round(done.elapsed * 1e9)
        )
        return Answer(call.default_format, [], summary, wrote=True)

    def _stream(self, statement: str, call: Call) -> Iterator[bytes]:
        with (
            self._connection(call) as session,
            session.send_query(statement, call.default_format, params=dict(call.parameters)) as result,
        ):
            for block in result:
                yield block.bytes()

    @contextmanager
    def _connection(self, call: Call) -> Iterator[Any]:
        try:
            with _connect(self._path) as session:
                session.query(f"USE {quoted_name(call.database)}")
                settings = {**call.settings, "readonly": _READONLY} if call.readonly else call.settings
                if settings:
                    session.query(f"SET {', '.join(_assignment(*each) for each in settings.items())}")
                yield session
        except (ChdbError, RuntimeError) as error:
            raise read_error(str(error), self.version) from error


def quoted_name(name: str) -> str:
    """An identifier in backticks."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _assignment(name: str, value: str) -> str:
    if not _SETTING_NAME.fullmatch(name):
        raise StoreError(115, f"Code: 115. DB::Exception: Unknown setting {name!r}. (UNKNOWN_SETTING)")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name} = '{escaped}'"


def _after_first(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Fetch the first block now, so that an error found at once is raised here and not in the middle of an answer."""
    first = next(blocks, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from blocks

    return rest()


def _summary(**counts: Any) -> str:
    names = ("read_rows", "read_bytes", "written_rows", "written_bytes", "elapsed_ns")
    return json.dumps({name: str(counts.get(name, 0)) for name in names})


def _write_config(data_dir: Path) -> Path:
    """`BACKUP … TO File('name')` writes beside the data, nowhere else."""
    path = data_dir.parent / "config.xml"
    backups = data_dir.parent / "backups"
    path.write_text(
        f"<clickhouse><backups><allowed_path>{backups}/</allowed_path></backups></clickhouse>\n", encoding="utf-8"
    )
    return path
