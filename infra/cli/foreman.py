"""``onsite foreman``: one foreman process."""

import typer

from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def foreman() -> None:
        """Keep the jobs: write their changes, and move them on from visits. One worker of the foreman's group.

        Settings come from the environment (ONSITE_KAFKA, ONSITE_DISPATCH, …). Start as many as there are partitions
        at most; they share the jobs, and the rounds of the devices, among them.

        Example: [bold]ONSITE_KAFKA=broker:9092 onsite foreman[/bold]
        """
        from infra.inputs import read_dispatch_rules
        from infra.worker import run_worker
        from stream.foreman.app import Foreman

        settings = load_settings()
        run_worker(Foreman(settings, settings.clock(), read_dispatch_rules(settings.dispatch)).app, settings)
