import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.embedded.statements import output_format, read_error, read_insert, reads_rows


@pytest.mark.parametrize(
    ("head", "statement", "format_name", "rows"),
    [
        (b"INSERT INTO t FORMAT Native\nrows", "INSERT INTO t", "Native", b"rows"),
        (b"insert into t (a, b) format JSONEachRow {}", "insert into t (a, b)", "JSONEachRow", b"{}"),
        (b'INSERT INTO db.`t (x)` (`a)`, "b(") FORMAT CSV\r\n1', 'INSERT INTO db.`t (x)` (`a)`, "b(")', "CSV", b"1"),
        (b"INSERT INTO TABLE t FORMAT TSV;\n1\t2", "INSERT INTO TABLE t", "TSV", b"1\t2"),
        (
            b"INSERT INTO t SETTINGS async_insert=0 FORMAT Arrow\n",
            "INSERT INTO t SETTINGS async_insert=0",
            "Arrow",
            b"",
        ),
        (
            b"-- why\n/* FORMAT x */ INSERT INTO t FORMAT CSV\n\n1",
            "-- why\n/* FORMAT x */ INSERT INTO t",
            "CSV",
            b"\n1",
        ),
        ("INSERT INTO `tür` FORMAT CSV\n".encode(), "INSERT INTO `tür`", "CSV", b""),
    ],
)
def test_an_insert_is_told_from_its_rows(head: bytes, statement: str, format_name: str, rows: bytes) -> None:
    insert = read_insert(head)
    assert insert is not None
    assert (insert.statement, insert.format) == (statement, format_name)
    assert head[insert.data_from :] == rows


@pytest.mark.parametrize(
    "text",
    [
        b"INSERT INTO t VALUES (1, 'FORMAT CSV')",
        b"INSERT INTO t FORMAT Values (1)",
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"SELECT 1 FORMAT CSV",
        b"SELECT 'INSERT INTO t FORMAT CSV'",
        b"",
    ],
)
def test_other_statements_go_to_the_engine_as_they_are(text: bytes) -> None:
    assert read_insert(text) is None


@given(st.binary(max_size=2_000))
def test_any_bytes_may_follow(rows: bytes) -> None:
    insert = read_insert(b"INSERT INTO t (a) FORMAT RowBinary\n" + rows)
    assert insert is not None
    assert insert.data_from == len(b"INSERT INTO t (a) FORMAT RowBinary\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", "Default"),
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("select 1\nformat Native ;\n", "Native"),
        ("SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "CSV"),
        ("SELECT ' FORMAT JSON'", "Default"),
    ],
)
def test_the_output_format_stands_at_the_end(text: str, expected: str) -> None:
    assert output_format(text, "Default") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", True),
        ("  /* c */ with 1 as x select x", True),
        ("(SELECT 1) UNION ALL (SELECT 2)", True),
        ("SHOW TABLES", False),
        ("CREATE TABLE selected (a Int8)", False),
    ],
)
def test_what_reads_rows(text: str, expected: bool) -> None:
    assert reads_rows(text) is expected


def test_errors_keep_their_code_and_gain_the_version() -> None:
    error = read_error("Streaming failed: Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE)\n", "26.9")
    assert (error.code, error.status) == (60, 404)
    assert error.text == "Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE) (version 26.9)"
    assert read_error("Code: 27. DB::Exception: No. (X) (version 1)", "26.9").text.count("(version") == 1
    assert read_error("something else", "26.9").status == 500
