"""``python -m benchmarks.chaos [--seconds S] [--seed N]``: kill parts of a running system, see that nothing is lost.

Ends by itself, with a summary; exit code 1 when something was lost or told wrong, or the system did not recover.
"""

import argparse
import asyncio
import logging
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.chaos.run import Outcome, Spec, run
from infra.errors import CommandError


def summary_of(outcome: Outcome) -> Table:
    """What happened, a line each; the memory only where no process was started anew."""
    memory = {} if outcome.kills else outcome.memory
    table = Table("", "", show_header=False)
    table.columns[1].justify = "right"
    for what, value in (
        ("pings accepted", f"{outcome.accepted:,} ({outcome.distinct:,} distinct)"),
        ("posts that had to be repeated", f"{outcome.repeated:,}"),
        ("visits", f"{outcome.visits:,}"),
        ("visit events published", f"{outcome.events:,}"),
        *((f"kills of {role}", f"{count}") for role, count in sorted(outcome.kills.items())),
        *((f"memory of {role}", f"{mb:,.0f} MB, {slope:+,.1f} MB/h") for role, (mb, slope) in memory.items()),
        ("longest recovery", f"{outcome.longest_recovery_s:.1f} s"),
        ("posting took", f"{outcome.posted_s:.0f} s"),
        ("settling took", f"{outcome.settled_s:.0f} s"),
    ):
        table.add_row(what, value)
    return table


def main(arguments: list[str] | None = None) -> int:
    """Run once; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="how long pings are posted and processes killed")
    parser.add_argument("--seed", type=int, help="picks the day and the kills; default: any, and it is printed")
    parser.add_argument("--rounds", type=int, help="rounds of kills; default: while pings are posted; 0: a soak")
    parser.add_argument("--technicians", type=int, default=12, help="one phone each")
    parser.add_argument("--days", type=int, default=1, help="of so many days, each like the one before, time is made")
    parser.add_argument(
        "--state", type=Path, help="empty folder to keep the data and logs in; default: a temporary one"
    )
    asked = parser.parse_args(arguments)
    seed = int.from_bytes(os.urandom(4)) if asked.seed is None else asked.seed
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is away is no news here
    console = Console(highlight=False)
    console.print(f"{'soak' if asked.rounds == 0 else 'chaos'} for {asked.seconds:g} s, seed {seed}")
    with tempfile.TemporaryDirectory(prefix="onsite-chaos-") as temporary:
        state_dir = asked.state or Path(temporary)
        state_dir.mkdir(parents=True, exist_ok=True)
        try:
            spec = Spec(seed, asked.seconds, asked.rounds, asked.technicians, asked.days)
            outcome = asyncio.run(run(state_dir, spec))
        except CommandError as error:
            console.print(f"[red]✗[/red] {error}", soft_wrap=True)
            return 1
    console.print(summary_of(outcome))
    for finding in outcome.findings:
        console.print(f"[red]✗[/red] {finding}", soft_wrap=True)
    console.print("nothing lost" if not outcome.findings else f"seed {seed}: {len(outcome.findings)} findings")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
