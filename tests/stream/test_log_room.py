"""The log of a broker that never answers: what is queued is bounded, and told before anything is read for it."""

import asyncio

import pytest

from schemas.topics import MAX_RECORD_BYTES, PINGS, LogUnavailable
from stream.kafka import KafkaLog

RECORDS: int = 64 * 1024 * 1024 // MAX_RECORD_BYTES


def test_a_log_with_too_many_records_waiting_has_no_room() -> None:
    async def use() -> None:
        log = KafkaLog("nowhere:9092", timeout_s=0.0)
        log._partitions[PINGS.name] = 1  # as if it had been connected once
        log.ensure_room()
        with pytest.raises(LogUnavailable, match="has not confirmed"):
            await log.append(PINGS, [("van-12", b"x" * MAX_RECORD_BYTES)] * (RECORDS + 1))
        with pytest.raises(LogUnavailable, match="too many records"):
            log.ensure_room()
        with pytest.raises(LogUnavailable, match="too many records"):
            await log.append(PINGS, [("van-12", b"x")])
        await log.stop()

    asyncio.run(use())
