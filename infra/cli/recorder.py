"""``onsite recorder``: one recorder process."""

import typer

from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def recorder() -> None:
        """Write pings, visits, fences, jobs, people and places into ClickHouse: one worker of the recorder's group.

        Settings come from the environment (ONSITE_KAFKA, ONSITE_CLICKHOUSE, …). Start as many as there are partitions
        at most. While the store is down it waits; what it has not stored stays in Kafka.

        Example: [bold]ONSITE_KAFKA=broker:9092 ONSITE_CLICKHOUSE=http://store:8123/onsite onsite recorder[/bold]
        """
        from infra.worker import run_worker
        from stream.recorder import Recorder

        settings = load_settings()
        run_worker(Recorder(settings).app, settings)
