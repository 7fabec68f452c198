"""Plain HTTP to presigned URLs, and what S3's refusals mean to a sender. No URL is ever shown: who has it may use it."""

import os
import re
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from hikyaku.errors import UserError
from hikyaku.sending.receipt import SENT_ALL_THE_SAME, SIGNATURE, Slip
from hikyaku.sending.upload import INTERRUPTED

TIMEOUT = urllib3.Timeout(connect=10, read=300)
ASK_AGAIN = "Ask the host for a new one: hikyaku presign KEY."
MEANINGS = {
    "PreconditionFailed": (
        "the URL was used already: the file is there",
        "A corrected file needs a URL for another key.",
    ),
    "SignatureDoesNotMatch": ("the URL was altered or cut", "Copy all of it, in quotes: the shell cuts at &."),
    "AuthorizationQueryParametersError": ("the URL was altered or cut", "Copy all of it, in quotes: the shell cuts at &."),
    "ExpiredToken": ("the credentials that signed it have expired", ASK_AGAIN),
}


def ask(method: str, url: str, *, headers: dict[str, str] | None = None, body: Iterator[bytes] | None = None) -> urllib3.BaseHTTPResponse:
    """One request, not repeated: a presigned URL works once.

    Raises:
        UserError: the host does not answer, or somebody pressed Ctrl-C.
    """
    try:
        return _pool(url).request(method, url, headers=headers, body=body, retries=False, timeout=TIMEOUT, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        what = f"{urlsplit(url).hostname} did not take the request: {type(error).__name__}"
        raise UserError(what, hint="Check the network and HTTPS_PROXY, then try again.") from None
    except UnicodeError:
        raise UserError("the URL is none", hint="Copy all of it, in quotes.", exit_code=2) from None
    except KeyboardInterrupt:
        raise UserError("interrupted; an upload that is cut leaves nothing behind.", exit_code=INTERRUPTED) from None


def _pool(url: str) -> urllib3.PoolManager:
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, ssl_context=context)
    return urllib3.PoolManager(ssl_context=context)


def refused(answer: urllib3.BaseHTTPResponse, what: str) -> UserError:
    """What S3's refusal means."""
    text = answer.data.decode(errors="replace")
    found = re.search(r"<Code>(\w+)</Code>", text)
    code = found[1] if found else str(answer.status)
    if ("expired" in text.lower() and code in {"AccessDenied", "ExpiredToken"}) or "Policy expired" in text:
        return UserError(f"{what}: the URL has expired.", hint=ASK_AGAIN)
    meaning, hint = MEANINGS.get(code, (f"S3 refused it ({code})", ASK_AGAIN))
    return UserError(f"{what}: {meaning}.", hint=hint)


class UrlReceipts:
    """The receipt by a presigned URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, _key: str) -> Slip | None:
        """The receipt, if there is one.

        Raises:
            UserError: the URL does no more.
        """
        answer = ask("GET", self._url)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            error = refused(answer, "the receipt can't be fetched")
            raise UserError(error.message, hint=SENT_ALL_THE_SAME)
        return Slip(answer.data, answer.headers.get(f"x-amz-meta-{SIGNATURE}", ""))
