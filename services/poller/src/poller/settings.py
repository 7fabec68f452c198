"""Settings of the poller."""

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from shared.settings import AwsSettings

MIB = 1024 * 1024


class PollerSettings(AwsSettings):
    """One queue, its dead-letter queue, the bucket whose events are ours, and how much may be under way at once."""

    queue_url: str
    dlq_url: str
    bucket: str
    """Events of any other bucket are foreign: forged or misrouted, never followed."""
    visibility_timeout: int = Field(default=120, ge=10, le=43200)
    """Seconds until SQS hands a message on when this poller dies. Short, because the heartbeat extends it."""
    receive_wait: int = Field(default=20, ge=1, le=20)
    """Seconds of SQS long polling; 20 is the most, and the cheapest."""
    sqs_connect_timeout: int = Field(default=5, ge=1)
    """Seconds until a connection to SQS must stand."""
    sqs_read_timeout: int = Field(default=5, ge=1)
    """Seconds for which SQS may be silent before an answer; a long poll has its wait on top."""
    max_in_flight: int = Field(default=64, ge=1, le=10_000)
    """Messages held at once."""
    max_in_flight_bytes: int = Field(default=2048 * MIB, ge=1)
    """Ciphertext bytes in the pipeline at once: bounds the spool. A single larger file still travels, alone."""
    parcel_max_files: int = Field(default=10, ge=1, le=100)
    """Small files that share one chain."""
    parcel_max_bytes: int = Field(default=8 * MIB, ge=1)
    """A file above it travels alone; parcels of small ones stay below it."""
    task_deadline: int = Field(default=600, ge=30)
    """Seconds after which a silent chain is given up and its messages return to SQS, plus a second per 2 MB of its message's files."""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Where Prometheus may scrape; unless it is set, nothing listens."""
    metrics_address: str = Field(default="127.0.0.1", min_length=1)
    """Address or host name of the interface that it listens on. Whoever reaches it may read: it has no login, and names no file."""
    pause_file: Path | None = None
    """While it is there, nothing new is received: `hikyaku pause` makes it."""
    drain_timeout: int = Field(default=20, ge=0)
    """Seconds that SIGTERM leaves the held files to finish before they are handed back."""

    @property
    def redis_silence(self) -> int:
        """As every service's, but no more than half the visibility timeout: while a call waits for Redis, no heartbeat leaves."""
        return self.redis_socket_timeout or min(super().redis_silence, self.visibility_timeout // 2)

    @field_validator("visibility_timeout")
    @classmethod
    def _outlasts_a_silent_redis(cls, seconds: int, info: ValidationInfo) -> int:
        longest = (info.data.get("redis_connect_timeout") or 0) + (info.data.get("redis_socket_timeout") or 0)
        if seconds < longest:
            raise ValueError(
                f"is shorter than HIKYAKU_REDIS_CONNECT_TIMEOUT and HIKYAKU_REDIS_SOCKET_TIMEOUT together ({longest} s): "
                "while the poller waits for Redis, its messages would go to another"
            )
        return seconds

    @field_validator("sqs_read_timeout")
    @classmethod
    def _sqs_is_given_up_in_time(cls, seconds: int, info: ValidationInfo) -> int:
        connect, visible = info.data.get("sqs_connect_timeout"), info.data.get("visibility_timeout")
        if connect and visible and connect + seconds > visible:
            raise ValueError(
                f"together with HIKYAKU_SQS_CONNECT_TIMEOUT ({connect} s) is longer than HIKYAKU_VISIBILITY_TIMEOUT ({visible} s): "
                "while the heartbeat waits for SQS, its messages would go to another"
            )
        return seconds
