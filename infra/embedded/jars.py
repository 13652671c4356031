"""The broker's jars: pinned by ``jgo.lock.toml`` with their checksums, kept in Maven's usual cache.

No Maven and no system Java: jgo fetches each jar itself. ``python -m infra.embedded.jars`` renews the lock after a
change in ``jgo.toml``.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import structlog
from jgo.env import EnvironmentBuilder, EnvironmentSpec, LockedDependency, LockFile
from jgo.maven import Artifact, MavenContext
from requests import RequestException

from infra.errors import CommandError

SPEC: Final = Path(__file__).with_name("jgo.toml")
LOCK: Final = Path(__file__).with_name("jgo.lock.toml")
_DOWNLOADS_AT_ONCE: Final = 8

log = structlog.get_logger()


def classpath(on_download: Callable[[int], None] | None = None) -> str:
    """The class path of all locked jars; those missing are fetched first.

    Args:
        on_download: called with the number of jars to fetch before fetching any.

    Raises:
        CommandError: a jar can neither be found nor fetched, or what came is not what the lock says.
    """
    context = MavenContext()
    locked = [(_artifact(context, entry), entry.sha256 or "") for entry in LockFile.load(LOCK).dependencies]
    context.repo_cache.mkdir(parents=True, exist_ok=True)
    with (context.repo_cache / ".onsite-broker.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # two first starts at once fetch each jar once
        missing = [pair for pair in locked if not _is_whole(*pair)]
        if missing:
            log.info("fetching the broker's jars", jars=len(missing), into=str(context.repo_cache))
            if on_download:
                on_download(len(missing))
            with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
                list(pool.map(lambda pair: _fetch(*pair), missing))
    return os.pathsep.join(str(_path(artifact)) for artifact, _ in locked)


def renew_lock() -> None:
    """Resolve ``jgo.toml`` and write ``jgo.lock.toml``."""
    spec = EnvironmentSpec.load(SPEC)
    context = MavenContext()
    inputs, transitive = context.resolver.resolve(EnvironmentBuilder(context).spec_to_dependencies(spec))
    needed = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
    LockFile.from_resolved_dependencies(needed, environment_name=spec.name).save(LOCK)
    log.info("lock written", jars=len(needed), path=str(LOCK))


def _artifact(context: MavenContext, entry: LockedDependency) -> Artifact:
    component = context.project(entry.groupId, entry.artifactId).at_version(entry.version)
    return component.artifact(entry.classifier or "", entry.packaging)


def _path(artifact: Artifact) -> Path:
    path = artifact.cached_path
    if path is None:
        raise CommandError("Maven's cache folder is unknown: set M2_REPO")
    return path


def _is_whole(artifact: Artifact, sha256: str) -> bool:
    path = _path(artifact)
    if not path.exists():
        return False
    with path.open("rb") as jar:
        return hashlib.file_digest(jar, "sha256").hexdigest() == sha256


def _fetch(artifact: Artifact, sha256: str) -> None:
    _path(artifact).unlink(missing_ok=True)  # a download cut short
    try:
        artifact.resolve()
    except (RequestException, RuntimeError, OSError) as error:
        raise CommandError(
            f"cannot fetch {artifact} for the embedded broker: {error}. Is the network up? "
            "Start once while online; later starts need none"
        ) from error
    if not _is_whole(artifact, sha256):
        _path(artifact).unlink(missing_ok=True)
        raise CommandError(f"{artifact} is not the file that {LOCK.name} pins: try again, or check your Maven mirror")


if __name__ == "__main__":
    renew_lock()
