"""Settings: the only reader of the environment. Every variable starts with ``ONSITE_``."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.clock import Clock


class Settings(BaseSettings):
    """What a process of Onsite can be told. The defaults fit the embedded system on one machine."""

    model_config = SettingsConfigDict(env_prefix="ONSITE_", extra="ignore")

    kafka: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, host:port, comma separated")
    clickhouse: str = Field(
        "http://127.0.0.1:8123/onsite",
        description="ClickHouse over HTTP, the database as path; user:password@ before the host where needed",
    )
    partitions: int = Field(8, ge=1, description="partitions of every topic; equal everywhere")
    replication: int = Field(1, ge=1, description="replicas of every topic; 3 in production")
    rules: Path | None = Field(None, description="TOML file of visit rules, read at start; none: the defaults")
    data_dir: Path = Field(Path(".onsite"), description="where a tracker or recorder keeps local files")

    host: str = Field("127.0.0.1", description="address the API binds to")
    port: int = Field(8080, ge=0, le=65535, description="port the API binds to")
    metrics_port: int = Field(0, ge=0, le=65535, description="Prometheus port of tracker and recorder; 0 = none")
    max_batch_pings: int = Field(5_000, ge=1, description="pings in one POST at most")
    max_body_bytes: int = Field(2 * 1024 * 1024, ge=1, description="bytes of one POST at most, after decompression")
    backlog_bytes_per_s: int = Field(
        2_000_000, ge=0, description="bytes a second of posts over 64 KiB, unpacked, by API process; 0 = no limit"
    )
    device_requests_per_s: float = Field(
        20.0, ge=0, description="requests a second of a token bound to a device, by API process; 0 = no limit"
    )
    device_pings_per_s: float = Field(
        200.0, ge=0, description="pings a second of a token bound to a device, by API process; 0 = no limit"
    )
    requests_per_s: float = Field(
        0.0, ge=0, description="requests a second of any other key or person, by API process; 0 = no limit"
    )
    pings_per_s: float = Field(0.0, ge=0, description="pings a second of any other key, by API process; 0 = no limit")
    rate_burst_s: float = Field(60.0, gt=0, description="so many seconds' worth of these come in at once")
    max_import_bytes: int = Field(64 * 1024 * 1024, ge=1, description="bytes of one fence import at most")

    checkpoint_s: float = Field(3.0, gt=0, description="seconds between two checkpoints of the tracker")
    session_timeout_s: float = Field(10.0, gt=0, description="after this a killed worker's partitions go to another")
    recorder_flush_s: float = Field(0.5, gt=0, description="the recorder inserts at least this often")
    recorder_max_rows: int = Field(200_000, ge=1, description="rows of one insert at most")
    pings_retention_days: int = Field(400, ge=1, description="days a ping is kept, by receive time")
    unknown_after_s: float = Field(600.0, gt=0, description="a device silent for this long is shown as unknown")

    clock_rate: float = Field(1.0, gt=0, description="how many times faster than life the clock runs")
    clock_start_ms: int = Field(0, description="what the clock showed at its origin, epoch ms")
    clock_origin_ms: int = Field(0, description="the machine's time at which the clock showed its start, epoch ms")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is logged")
    log_format: Literal["console", "json"] = Field("console", description="for people, or one JSON object a line")

    def clock(self) -> Clock:
        """The one clock of this process."""
        return Clock(self.clock_rate, self.clock_start_ms, self.clock_origin_ms)


@lru_cache
def load_settings() -> Settings:
    """Read the environment once."""
    return Settings()
