"""The tracker end to end on the real broker, against stock Faust and raw aiokafka: pings per CPU-second."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.feed import append_fences, append_pings
from benchmarks.load import build_load
from infra.cli.tracker import MEMORY
from infra.embedded.broker import Broker
from infra.migrations import create_topics
from schemas.settings import Settings

PARTITIONS: Final = 4
CONSUMER_DEADLINE_S: Final = 300.0


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Fill the topics once, then let each consumer read them from the beginning, one after the other."""
    load = build_load(devices=1_000, minutes=10.0) if quick else build_load()
    total = len(load)
    # The slow ones stop early; what they are asked is a rate.
    expected = {
        "onsite_tracker": total,
        "raw_aiokafka": total,
        "idle_faust": total // 8,
        "stock_faust": total // 20,
    }
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder)) as broker:
        settings = Settings(kafka=broker.address, partitions=PARTITIONS)
        asyncio.run(create_topics(settings))
        asyncio.run(append_fences(settings, load))
        asyncio.run(append_pings(settings, load.records()))
        measured = {name: _measure(name, settings, count) for name, count in expected.items()}
    rate = {name: figures["pings_per_cpu_s"] for name, figures in measured.items()}
    return {
        "figures": {"pings_per_cpu_s": rate["onsite_tracker"], "pings": measured["onsite_tracker"]["pings"]}
        | load.figures(),
        "anchors": {f"{name}_pings_per_cpu_s": rate[name] for name in ("stock_faust", "idle_faust", "raw_aiokafka")},
        "ratios": {
            "onsite_vs_stock_faust": rate["onsite_tracker"] / rate["stock_faust"],
            "onsite_vs_idle_faust": rate["onsite_tracker"] / rate["idle_faust"],
            "onsite_vs_raw_aiokafka": rate["onsite_tracker"] / rate["raw_aiokafka"],
        },
    }


def _measure(name: str, settings: Settings, expected: int) -> dict[str, float]:
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.consumers", name, settings.kafka, str(PARTITIONS), str(expected)],
        stdout=subprocess.PIPE,
        env=os.environ | MEMORY,
        timeout=CONSUMER_DEADLINE_S,
        check=True,
        text=True,
    )
    figures: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return figures
