"""What it means when S3 refuses to change something: the world may heal, or somebody has to mend a permission."""

from shared.errors import ErrorCode, Retryable

NOT_IMPLEMENTED = 501
SERVER_ERROR = 500
PASSING = frozenset(
    {
        # Of a HEAD, whose answer has no code: expired credentials, most likely.
        "400",
        *("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequestsException"),
        *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed"),
    }
)
"""Error codes below 500 that say nothing of the object: too fast, or with credentials that are no good (Amazon S3, Error responses)."""


def failure(code: str, status: int, refused: ErrorCode, advice: str) -> Retryable:
    """The failure that an answer of S3's is.

    Args:
        code: S3's error code.
        status: of HTTP.
        refused: what it is called if it is about what was asked, and not about S3's health.
        advice: what to look at then.
    """
    # The second: the key is disabled or away. Files can't be read then either.
    if code in PASSING or code.startswith("KMS.") or (status >= SERVER_ERROR and status != NOT_IMPLEMENTED):
        return Retryable(ErrorCode.STORAGE_UNAVAILABLE, f"S3 answered {status} {code}")
    return Retryable(refused, f"S3 answered {status} {code}: {advice}")
