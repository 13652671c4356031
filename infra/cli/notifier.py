"""``onsite notifier``: one notifier process."""

import typer

from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def notifier() -> None:
        """Make events of what happens to jobs and visits, and deliver them to webhooks. One worker of its group.

        Settings come from the environment (ONSITE_KAFKA, ONSITE_DISPATCH, ONSITE_WEBHOOK_RETRIES_S, …). Start as many
        as there are partitions at most; they share the jobs, visits, stock and deliveries among them.

        Example: [bold]ONSITE_KAFKA=broker:9092 onsite notifier[/bold]
        """
        from infra.inputs import read_dispatch_rules
        from infra.worker import run_worker
        from stream.notify.app import Notifier

        settings = load_settings()
        run_worker(Notifier(settings, settings.clock(), read_dispatch_rules(settings.dispatch)).app, settings)
