"""Settings of the poller."""

from pydantic import Field

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
    drain_timeout: int = Field(default=20, ge=0)
    """Seconds that SIGTERM leaves the held files to finish before they are handed back."""
