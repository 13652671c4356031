"""What of aiokafka's inside the framed transport leans on, without a broker."""

import asyncio

from faust.types import TP

from stream.framed import Consumer


def test_room_for_frames_is_noticed_at_once() -> None:
    """Faust looks once a second whether a partition has room again when none has."""
    full = TP("framed", 0)

    async def fetch_when_there_is_room() -> float:
        consumer = Consumer.__new__(Consumer)
        consumer.flow_active, consumer._room = True, asyncio.Event()
        consumer._active_partitions, consumer._buffered_partitions, consumer._paused_partitions = set(), {full}, set()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        waiting = asyncio.create_task(consumer._wait_next_records(60.0))
        await asyncio.sleep(0)
        consumer.on_buffer_drop(full)
        assert await waiting == ({}, set())
        assert consumer._get_active_partitions() == {full}
        return loop.time() - began_s

    assert asyncio.run(fetch_when_there_is_room()) < 10.0
