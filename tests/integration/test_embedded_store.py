import asyncio
import datetime as dt
import gzip
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clickhouse_connect
import httpx
import numpy as np
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from infra.embedded.store import Store
from infra.embedded.store_server import EXIT_LOST_WRITES, IN_MEMORY_BYTES
from infra.errors import CommandError

pytestmark = pytest.mark.integration

NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    client = clickhouse_connect.get_client(dsn=store.url)
    yield client
    client.close()


@pytest.fixture
def table(client: Client, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"t_{abs(hash(request.node.name))}"
    client.command(f"CREATE TABLE {name} (a Int64, b String, c DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY a")
    yield name
    client.command(f"DROP TABLE {name}")


def post(store: Store, body: bytes | str = b"", headers: dict[str, str] | None = None, **params: str) -> httpx.Response:
    return httpx.post(store.url, content=body, params=params, headers=headers, timeout=60)


# --- clickhouse-connect ------------------------------------------------------------------------------------------


def test_the_client_finds_its_database_and_a_clickhouse(client: Client) -> None:
    assert client.command("SELECT currentDatabase()") == "onsite"
    assert client.ping()
    assert client.server_tz is dt.UTC


def test_rows_inserted_natively_come_back(client: Client, table: str) -> None:
    rows = [(1, "eins", NOON), (2, "it's", NOON + dt.timedelta(milliseconds=1))]
    summary = client.insert(table, rows, column_names=["a", "b", "c"]).summary
    assert int(summary["written_rows"]) == 2
    got = client.query(f"SELECT * FROM {table} ORDER BY a", tz_mode="aware")
    assert got.column_names == ("a", "b", "c")
    assert got.result_rows == rows
    assert client.query(f"SELECT * FROM {table} LIMIT 0").column_names == ("a", "b", "c")


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_arrow_goes_in_and_comes_out_under_any_compression(store: Store, table: str, compress: bool | str) -> None:
    client = clickhouse_connect.get_client(dsn=store.url, compress=compress)
    count = 300_000
    moments = pa.array(np.full(count, 1_700_000_000_000), pa.timestamp("ms", "UTC"))
    rows = pa.table({"a": np.arange(count), "b": pa.array([str(n % 7) for n in range(count)]), "c": moments})
    assert int(client.insert_arrow(table, rows).summary["written_rows"]) == count
    got = client.query_arrow(f"SELECT a, b, c FROM {table} ORDER BY a", use_strings=True)
    assert got.column("a").to_pylist() == rows.column("a").to_pylist()
    assert got.column("b").to_pylist() == rows.column("b").to_pylist()
    native = client.query(f"SELECT sum(a), uniq(b) FROM {table}").result_rows
    assert native == [(count * (count - 1) // 2, 7)]
    client.close()


def test_parameters_are_bound_not_pasted(client: Client) -> None:
    nasty = "Robert'); DROP TABLE students;--\t\n\\ ünïcode 🚐"
    query = (
        "SELECT {text:String}, {number:Int32}, {moment:DateTime64(3, 'UTC')}, {list:Array(String)}, "
        "{none:Nullable(Int8)}"
    )
    parameters = {"text": nasty, "number": -5, "moment": NOON, "list": ["a'b", "c,d"], "none": None}
    [row] = client.query(query, parameters=parameters, tz_mode="aware").result_rows
    assert row[:2] == (nasty, -5)
    assert row[2] == NOON
    assert list(row[3]) == ["a'b", "c,d"]
    assert row[4] is None


def test_settings_hold_for_their_own_query_only(client: Client) -> None:
    text = "SELECT getSetting('max_threads')"
    before = client.query(text).result_rows
    assert client.query(text, settings={"max_threads": 3}).result_rows == [(3,)]
    assert client.query(text).result_rows == before


def test_a_large_result_streams_in_blocks(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(1000000)") as blocks:
        sizes = [len(block) for block in blocks]
    assert sum(sizes) == 1_000_000
    assert len(sizes) > 1


def test_an_error_in_the_middle_of_a_stream_reaches_the_client(client: Client) -> None:
    query = "SELECT throwIf(number = 900000, 'too far') FROM numbers(1000000)"
    with client.query_row_block_stream(query) as blocks, pytest.raises(StreamFailureError, match="too far"):
        list(blocks)


def test_commands_answer_as_the_client_expects(client: Client, table: str) -> None:
    assert client.command(f"INSERT INTO {table} VALUES (1, 'x', now64(3)), (2, 'y', now64(3))") is not None
    assert client.command(f"SELECT count() FROM {table}") == 2
    client.command(f"ALTER TABLE {table} DELETE WHERE a = 1", settings={"mutations_sync": 1})
    assert client.command(f"SELECT count() FROM {table}") == 1
    assert client.command(f"INSERT INTO {table} SELECT 3, 'z', now64(3)") is not None
    assert client.command(f"EXISTS TABLE {table}") == 1


def test_the_async_client_works_with_many_queries_at_once(store: Store, table: str) -> None:
    async def work() -> list[int]:
        client = await clickhouse_connect.get_async_client(dsn=store.url, autogenerate_session_id=False)
        try:
            await client.insert(table, [(number, "x", NOON) for number in range(100)], column_names=["a", "b", "c"])
            queries = [f"SELECT count() FROM {table} WHERE a < {number}" for number in range(50)]
            results = await asyncio.gather(*[client.query(query) for query in queries])
            return [result.result_rows[0][0] for result in results]
        finally:
            await client.close()

    assert asyncio.run(work()) == list(range(50))


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE"),
        ("SELECT nothing", 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT throwIf(1)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    ],
)
def test_errors_are_clickhouse_errors(client: Client, query: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query(query)
    assert caught.value.code == code
    assert name in str(caught.value)


def test_an_insert_that_does_not_fit_is_refused_and_leaves_nothing(client: Client, store: Store, table: str) -> None:
    answer = post(store, '{"a": 1}\n{"a": "one"}\n', query=f"INSERT INTO {table} FORMAT JSONEachRow")
    assert answer.status_code == 400
    assert answer.headers["X-ClickHouse-Exception-Code"] == "27"
    assert post(store, b"not arrow", query=f"INSERT INTO {table} FORMAT Arrow").status_code >= 400
    assert client.command(f"SELECT count() FROM {table}") == 0


# --- plain HTTP --------------------------------------------------------------------------------------------------


def test_ping_and_an_empty_get_say_ok(store: Store) -> None:
    root = store.url.rpartition("/")[0]
    assert httpx.get(f"{root}/ping").text == "Ok.\n"
    assert httpx.get(root).text == "Ok.\n"


def test_the_statement_may_be_in_the_url_the_body_or_both(store: Store) -> None:
    assert httpx.get(store.url, params={"query": "SELECT 1"}).text == "1\n"
    assert post(store, "SELECT 1").text == "1\n"
    assert post(store, "1 + 1", query="SELECT").text == "2\n"
    root = store.url.rpartition("/")[0]
    assert httpx.post(f"{root}/?database=system", content="SELECT currentDatabase()").text == "system\n"
    assert httpx.post(root, content="SELECT currentDatabase()").text == "onsite\n"
    assert post(store, "").status_code == 400


def test_the_format_comes_from_the_statement_the_url_or_a_header(store: Store) -> None:
    text = "SELECT 1 AS one"
    assert post(store, f"{text} FORMAT JSONEachRow").text == '{"one":1}\n'
    assert post(store, text, default_format="CSVWithNames").text == '"one"\n1\n'
    answer = post(store, text, headers={"X-ClickHouse-Format": "JSONEachRow"})
    assert answer.text == '{"one":1}\n'
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert post(store, f"{text} FORMAT JSON").json()["data"] == [{"one": 1}]


@pytest.mark.parametrize("body_holds_statement", [True, False])
def test_rows_follow_the_insert_in_any_format(
    store: Store, client: Client, table: str, body_holds_statement: bool
) -> None:
    sink = pa.BufferOutputStream()
    arrow = pa.table({"a": [3], "b": ["three\nlines\0"], "c": pa.array([0], pa.timestamp("ms", "UTC"))})
    with pa.ipc.new_file(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    for format_name, rows in (
        ("JSONEachRow", b'{"a": 1, "b": "one", "c": "1970-01-01 00:00:00.000"}\n'),
        ("CSV", b'2,"two","1970-01-01 00:00:00.000"\n'),
        ("Arrow", sink.getvalue().to_pybytes()),
        ("Values", b"(4, 'four', 0)"),
    ):
        statement = f"/* rows */ INSERT INTO onsite.{table} (a, b, `c`) FORMAT {format_name}"
        if body_holds_statement:
            answer = post(store, statement.encode() + b"\n" + rows)
        else:
            answer = post(store, rows, query=statement)
        assert answer.status_code == 200, answer.text
    assert client.query(f"SELECT a, b FROM {table} ORDER BY a").result_rows == [
        (1, "one"),
        (2, "two"),
        (3, "three\nlines\0"),
        (4, "four"),
    ]


def test_bodies_may_be_compressed_both_ways(store: Store, table: str) -> None:
    rows = b'{"a": 1, "b": "x"}\n' * 10_000
    insert = f"INSERT INTO {table} FORMAT JSONEachRow"
    packed = gzip.compress(rows[: len(rows) // 2]) + gzip.compress(rows[len(rows) // 2 :])
    assert post(store, packed, {"Content-Encoding": "gzip"}, query=insert).status_code == 200
    answer = post(
        store,
        f"SELECT a, b FROM {table}",
        {"Accept-Encoding": "gzip"},
        enable_http_compression="1",
        default_format="CSV",
    )
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.text == '1,"x"\n' * 10_000
    assert post(store, b"not gzip", {"Content-Encoding": "gzip"}, query=insert).status_code >= 400
    assert "Content-Encoding" in post(store, packed, {"Content-Encoding": "rar"}, query=insert).text


def test_a_get_only_reads(store: Store, table: str) -> None:
    answer = httpx.get(store.url, params={"query": f"INSERT INTO {table} VALUES (1, 'x', 0)"})
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "164")
    assert httpx.get(store.url, params={"query": f"DROP TABLE {table}"}).status_code == 403
    assert httpx.get(store.url, params={"query": "SELECT 1 SETTINGS readonly = 0"}).status_code == 403
    assert httpx.get(store.url, params={"query": "SELECT 1 SETTINGS max_threads = 1"}).text == "1\n"


def test_errors_have_clickhouses_status_headers_and_text(store: Store) -> None:
    answer = post(store, "SELECT * FROM nowhere", query_id="my-query")
    assert answer.status_code == 404
    assert answer.headers["X-ClickHouse-Exception-Code"] == "60"
    assert answer.headers["X-ClickHouse-Query-Id"] == "my-query"
    assert answer.text.startswith("Code: 60. DB::Exception: ")
    assert "(UNKNOWN_TABLE) (version " in answer.text
    assert post(store, "SELECT 1", no_such_setting="1").status_code == 404
    assert post(store, "SELECT 1", database="nowhere").headers["X-ClickHouse-Exception-Code"] == "81"
    assert post(store, b"SELECT '\xff'").status_code == 400
    assert "compress=0" in post(store, "SELECT 1", compress="1").text


def test_a_web_page_of_another_site_is_turned_away(store: Store) -> None:
    assert post(store, "SELECT 1", {"Origin": "https://evil.example"}).status_code == 403
    assert post(store, "SELECT 1", {"Host": "rebound.example"}).status_code == 403
    assert post(store, "SELECT 1", {"Origin": "http://localhost:3000"}).status_code == 200


def test_curl_works(store: Store) -> None:
    done = subprocess.run(["curl", "-sS", f"{store.url}?query=SELECT+6*7"], capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"


def test_backups_go_beside_the_data_and_nowhere_else(store: Store, client: Client, table: str) -> None:
    answer = client.command(f"BACKUP TABLE {table} TO File('{table}')")
    assert "BACKUP_CREATED" in str(answer)
    with pytest.raises(DatabaseError):
        client.command(f"BACKUP TABLE {table} TO File('/tmp/{table}')")


# --- the process -------------------------------------------------------------------------------------------------


def test_slow_queries_do_not_hold_up_others(store: Store) -> None:
    slow = "SELECT sum(sleepEachRow(0.5)) FROM numbers(4) SETTINGS max_block_size = 1"
    with ThreadPoolExecutor(3) as pool:
        began = time.monotonic()
        running = [pool.submit(post, store, slow) for _ in range(3)]
        assert post(store, "SELECT 1").text == "1\n"
        assert not any(each.done() for each in running)
        assert [each.result().text for each in running] == ["0\n"] * 3
        assert time.monotonic() - began < 5.5


def test_a_body_too_large_to_hold_in_memory_goes_by_way_of_a_file(store: Store, client: Client, table: str) -> None:
    row = b'{"a": 1, "b": "' + b"x" * 1000 + b'"}\n'
    thousands = 50

    def rows() -> Iterator[bytes]:
        for _ in range(thousands):
            yield row * 1000

    assert thousands * 1000 * len(row) > IN_MEMORY_BYTES
    insert = f"INSERT INTO {table} FORMAT JSONEachRow"
    answer = httpx.post(store.url, content=rows(), params={"query": insert}, timeout=120)
    assert answer.status_code == 200
    assert client.command(f"SELECT count() FROM {table}") == thousands * 1000


@pytest.mark.parametrize("end", [Store.stop, lambda store: (store.process.kill(), store.process.wait())])
def test_data_survives_a_stop_and_a_kill_on_the_same_port(tmp_path: Path, end: Callable[[Store], object]) -> None:
    store = Store(tmp_path)
    store.start()
    try:
        store.wait_ready()
        url = store.url
        post(store, "CREATE TABLE kept (a Int64) ENGINE = MergeTree ORDER BY a")
        for number in range(20):
            assert post(store, f"INSERT INTO kept VALUES ({number})").status_code == 200
        end(store)
        store.start()
        store.wait_ready()
        assert store.url == url
        assert post(store, "SELECT count(), sum(a) FROM kept").text == "20\t190\n"
    finally:
        store.stop()


@pytest.mark.parametrize("statement", ["INSERT INTO kept VALUES (7)", "OPTIMIZE TABLE kept FINAL"])
def test_a_store_that_cannot_write_confirms_nothing_and_keeps_what_it_had(tmp_path: Path, statement: str) -> None:
    """Every write that makes a file larger is refused, as on a full disk; a merge must not cost the parts it read."""
    store = Store(tmp_path)
    store.start()
    try:
        store.wait_ready()
        post(store, "CREATE TABLE kept (a Int64) ENGINE = MergeTree ORDER BY a")
        for number in (1, 2):
            assert post(store, f"INSERT INTO kept VALUES ({number})").status_code == 200
        _, hard = resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE, (0, hard))
        with pytest.raises(httpx.RemoteProtocolError):
            post(store, statement)
        assert store.process.wait(10.0) == EXIT_LOST_WRITES
        store.start()
        store.wait_ready()
        assert post(store, "SELECT count(), sum(a) FROM kept").text == "2\t3\n"
        assert post(store, statement).status_code == 200
    finally:
        store.stop()


def test_a_second_store_on_the_same_data_says_why_it_cannot(tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    first.start()
    try:
        first.wait_ready()
        second.start()
        with pytest.raises(CommandError, match=r"ended while starting .*store\.log"):
            second.wait_ready()
        assert post(first, "SELECT 1").text == "1\n"
    finally:
        second.stop()
        first.stop()
