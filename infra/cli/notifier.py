"""``onsite notifier``: one notifier process."""

import typer

from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def notifier() -> None:
        """Send notices to customers and staff, make events, and deliver them to webhooks. One worker of its group.

        Settings come from the environment (ONSITE_KAFKA, ONSITE_DISPATCH, ONSITE_NOTICE_RETRIES_S, …). Start as many
        as there are partitions at most; they share the jobs, visits, stock, notices and deliveries among them.

        Example: [bold]ONSITE_KAFKA=broker:9092 onsite notifier[/bold]
        """
        from infra.errors import CommandError
        from infra.inputs import read_dispatch_rules
        from infra.tracking_links import open_links
        from infra.worker import run_worker
        from stream.notify.app import Notifier

        settings = load_settings()
        rules = read_dispatch_rules(settings.dispatch)
        try:
            worker = Notifier(settings, settings.clock(), rules, open_links(settings))
        except ValueError as error:
            raise CommandError(f"{settings.dispatch}: {error}") from error
        run_worker(worker.app, settings)
