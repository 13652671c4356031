"""Run a Faust app as this process."""

import faust
from prometheus_client import start_http_server

from infra.logs import configure_logging
from schemas.settings import Settings
from stream.framed import FramedApp


def run_worker(app: FramedApp, settings: Settings) -> None:
    """Serve metrics where asked, run the app until SIGTERM or SIGINT, drain it and exit."""
    configure_logging(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.host)
    worker = faust.Worker(app, loglevel=settings.log_level, override_logging=False, redirect_stdouts=False)
    worker.execute_from_commandline()
