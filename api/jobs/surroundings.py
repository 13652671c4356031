"""What jobs may refer to, of one process."""

from api.auth.scope import Scope
from api.jobs.references import JobSurroundings
from api.services import Services


def surroundings_of_jobs(scope: Scope, services: Services) -> JobSurroundings:
    """What there is, and who asks."""
    entries = {name: model.records for name, model in services.registers.items()}
    return JobSurroundings(entries, services.fences.records, services.live.records.keys(), scope)
