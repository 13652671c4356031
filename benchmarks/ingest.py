"""Pings over HTTP into the real broker, each 202 after its ack: pings and requests per CPU-second of the API process.

The API is a process of its own, started as ``onsite api`` is; all its CPU time counts, that of the clients, which are
here, does not. Batches are JSON arrays of 100 pings of as many devices, single pings a JSON object a request; times are
RFC 3339. Beside it bare producers send the same records, a call a record, with the same guarantees (``acks=all``,
idempotent): aiokafka and confluent-kafka, compressing with zstd as the API does.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer

from benchmarks.client import Connection, array_of, as_a_client_writes, request_of
from benchmarks.load import build_load
from infra.embedded.broker import Broker
from infra.embedded.ports import reserve_free
from infra.grants import Grant
from infra.keys import open_key_ring
from infra.migrations import create_topics
from infra.system import environment_of
from schemas.ping import Ping
from schemas.settings import Settings
from schemas.topics import PINGS

BATCH: Final = 100
CONNECTIONS: Final = 32
WARM_UP_SHARE: Final = 10
"""One request in ten goes first and does not count."""

SINGLES_SHARE: Final = 4
"""One ping in four is posted by itself too."""

IN_FLIGHT: Final = 5_000
"""Records a bare producer has on their way before it waits for their acks."""

START_DEADLINE_S: Final = 60.0


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure; ``quick`` sends fewer pings."""
    records = list(build_load(minutes=2.5 if quick else 6.0).records())
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder)) as broker:
        settings = Settings(kafka=broker.address, data_dir=Path(folder), port=reserve_free(), log_level="error")
        return _measure(settings, records)


def _measure(settings: Settings, records: Sequence[tuple[str, bytes]]) -> dict[str, dict[str, float]]:
    asyncio.run(create_topics(settings))
    items = [as_a_client_writes(msgspec.json.decode(value, type=Ping)) for _, value in records]
    token = asyncio.run(_device_token(settings))
    batches = [array_of(items[first : first + BATCH]) for first in range(0, len(items), BATCH)]
    with _api(settings, token) as process:
        batched = asyncio.run(_requests_per_cpu_s(process, settings, token, batches)) * BATCH
        single = asyncio.run(_requests_per_cpu_s(process, settings, token, items[: len(items) // SINGLES_SHARE]))
    anchors = {
        "aiokafka_sends_per_cpu_s": asyncio.run(_aiokafka_rate(settings, records)),
        "confluent_kafka_sends_per_cpu_s": _confluent_rate(settings, records),
    }
    return {
        "figures": {"batched_pings_per_cpu_s": batched, "single_requests_per_cpu_s": single},
        "anchors": anchors,
        "ratios": {
            "onsite_vs_aiokafka": batched / anchors["aiokafka_sends_per_cpu_s"],
            "onsite_vs_confluent_kafka": batched / anchors["confluent_kafka_sends_per_cpu_s"],
        },
    }


async def _device_token(settings: Settings) -> str:
    async with open_key_ring(settings) as ring:
        return (await ring.create("benchmark", Grant("device"))).token


@contextlib.contextmanager
def _api(settings: Settings, token: str) -> Iterator[psutil.Process]:
    """The API, answering; there is no store, and pings need none."""
    argv = [sys.executable, "-m", "infra.cli", "api"]
    process = subprocess.Popen(argv, env={**os.environ, **environment_of(settings)})
    try:
        give_up_s = time.monotonic() + START_DEADLINE_S
        while not _answers(settings, token):
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise RuntimeError("the API did not start")
            time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _answers(settings: Settings, token: str) -> bool:
    try:
        asyncio.run(_post_all(settings, [request_of(token, b"[]")]))
    except (OSError, asyncio.IncompleteReadError, RuntimeError):
        return False
    return True


async def _requests_per_cpu_s(
    process: psutil.Process, settings: Settings, token: str, bodies: Sequence[bytes]
) -> float:
    requests = [request_of(token, body) for body in bodies]
    warm_up = len(requests) // WARM_UP_SHARE
    await _post_all(settings, requests[:warm_up])
    began_s = _cpu_s(process)
    await _post_all(settings, requests[warm_up:])
    return (len(requests) - warm_up) / (_cpu_s(process) - began_s)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _post_all(settings: Settings, requests: Sequence[bytes]) -> None:
    """Post over ``CONNECTIONS`` connections that are kept, one request at a time on each. All have to be accepted."""
    waiting = iter(requests)

    async def post() -> None:
        connection = Connection(f"http://{settings.host}:{settings.port}")
        for request in waiting:
            await connection.post(request)
        connection.close()

    await asyncio.gather(*(post() for _ in range(min(CONNECTIONS, len(requests)))))


async def _aiokafka_rate(settings: Settings, records: Sequence[tuple[str, bytes]]) -> float:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, acks="all", enable_idempotence=True, compression_type="zstd"
    )
    await producer.start()
    began_s = time.process_time()
    for first in range(0, len(records), IN_FLIGHT):
        sent = [
            await producer.send(PINGS.name, value, key.encode()) for key, value in records[first : first + IN_FLIGHT]
        ]
        await asyncio.gather(*sent)
    rate = len(records) / (time.process_time() - began_s)
    await producer.stop()
    return rate


def _confluent_rate(settings: Settings, records: Sequence[tuple[str, bytes]]) -> float:
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "partitioner": "murmur2_random",
        }
    )
    acked = 0

    def note(error: object, _message: object) -> None:
        nonlocal acked
        acked += error is None

    began_s = time.process_time()
    for first in range(0, len(records), IN_FLIGHT):
        for key, value in records[first : first + IN_FLIGHT]:
            producer.produce(PINGS.name, value, key.encode(), on_delivery=note)
        producer.flush()
    assert acked == len(records)
    return len(records) / (time.process_time() - began_s)
