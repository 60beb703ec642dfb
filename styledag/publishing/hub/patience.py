"""What is tried again with the Hub, how long it waits before that, and what is given up."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from styledag.errors import PublishError
from styledag.retry_after import retry_after_s

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

T = TypeVar("T")

_MOST_BACKOFF_S = 120.0
_LONGEST_ASKED_S = 900.0
"""The Hub counts requests by five minutes, and new repositories by days: those are not waited."""
_COMMIT_S = 180.0
"""Longest that the Hub may take over a large commit and say nothing."""
_CONNECT_S = 10.0
_XET_TROUBLE = re.compile(
    r"network|connection|time[d ]|CAS|reqwest|request|status 5", re.IGNORECASE
)
"""In what hf_xet says as a mere RuntimeError, or without a cause of its own."""

_ADVICE = {
    400: "correct what it names, in `publish` of the style file or in the options",
    401: "the Hub does not accept the access token (expired, revoked or mistyped): log in by "
    "`hf auth login`, or set HF_TOKEN",
    402: "the owner's plan does not include this: see https://huggingface.co/pricing",
    403: "the access token may not write here: use a token with write permission for its owner",
    404: "there is no such repository, or the access token may not see it",
    409: "the repository's state does not permit this",
    412: "another commit came in between, and nothing was overwritten: look at the repository's "
    "history and publish again",
    429: "the Hub asks to wait: publish again later; what was uploaded is not sent again",
}
_STORAGE = "free storage of the owner, make the repository public, or extend the owner's plan"
_AGAIN = "publish again: what was uploaded is not sent again"


_XET_STATUS = re.compile(r"HTTP status client error \((4\d\d)")
"""How hf_xet names a refusal, as a ConnectionError."""


def patiently(call: Callable[[], T], tries: int) -> T:
    """Return what ``call`` returns, which is safe to repeat, after failures that may pass.

    A ``429`` and server errors wait as long as ``Retry-After`` or the Hub's ``RateLimit`` header
    asks for, up to 15 minutes; server errors without one, and broken connections, wait a doubling
    time.
    """
    import httpx2

    for attempt in range(tries - 1):
        try:
            return call()
        # An LFS upload's error arrives as the cause of a RuntimeError, that of Xet as an OSError.
        except (httpx2.HTTPError, RuntimeError, OSError) as exc:
            wait_s = _wait_s(_cause(exc), attempt)
            if wait_s is None:
                raise
            time.sleep(wait_s)
    return call()


@contextmanager
def hub_errors(repo: str, *, silence_s: float = _COMMIT_S) -> Iterator[None]:
    """Turn what huggingface_hub raises into an error that names the repository and what to do.

    Its client, which would wait for an answer without a limit, gives up in the block.

    Args:
        repo: What the error is about.
        silence_s: Longest that the Hub may say nothing.

    Raises:
        PublishError: In place of any of it.
    """
    import httpx2
    from huggingface_hub import get_session

    client = get_session()
    usual, client.timeout = client.timeout, httpx2.Timeout(silence_s, connect=_CONNECT_S)
    try:
        yield
    # A ValueError is a name or a card that the Hub does not permit.
    except (httpx2.HTTPError, RuntimeError, OSError, ValueError) as exc:
        raise PublishError(f"{repo}: {_explained(_cause(exc))}") from exc
    finally:
        client.timeout = usual


def _cause(error: BaseException) -> BaseException:
    """Return the HTTP error that an error was raised from, or the error itself."""
    import httpx2

    at: BaseException | None = error
    while at is not None and not isinstance(at, httpx2.HTTPError):
        at = at.__cause__
    return at or error


def _wait_s(error: BaseException, attempt: int) -> float | None:
    """Return the seconds to wait before trying again; ``None`` if the error will not pass."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    refused = _XET_STATUS.search(str(error))
    if isinstance(error, OfflineModeIsEnabled) or (refused and refused[1] != "429"):
        return None
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status != 429 and status < 500:
            return None
        wait_s = _asked_wait_s(error) or _backoff_s(attempt)
        return wait_s if wait_s <= _LONGEST_ASKED_S else None
    if isinstance(error, httpx2.TransportError | ConnectionError | TimeoutError):
        return _backoff_s(attempt)
    if type(error) is RuntimeError and _XET_TROUBLE.search(str(error)):
        return _backoff_s(attempt)
    return None


def _asked_wait_s(error: "HfHubHTTPError") -> float | None:
    from huggingface_hub.utils import parse_ratelimit_headers

    headers = error.response.headers
    limit = parse_ratelimit_headers(headers)
    if error.response.status_code == 429 and limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    return retry_after_s(headers.get("Retry-After"), date=headers.get("Date"))


def _backoff_s(attempt: int) -> float:
    return min(0.5 * float(1 << attempt), _MOST_BACKOFF_S)


def _explained(error: BaseException) -> str:
    import httpx2
    from huggingface_hub.errors import DisabledRepoError, HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "huggingface_hub is in offline mode: unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE"
    if isinstance(error, DisabledRepoError):
        return "the Hub has disabled this repository: name another, or ask its support"
    if isinstance(error, HfHubHTTPError):
        status, message = error.response.status_code, error.server_message
        is_full = status == 403 and "storage" in (message or "").lower()
        advice = _STORAGE if is_full else _ADVICE.get(status, _AGAIN)
        return f"{message or f'HTTP {status}'}: {advice}"
    if refused := _XET_STATUS.search(str(error)):
        return f"HTTP {refused[1]}: {_ADVICE.get(int(refused[1]), _AGAIN)}"
    if isinstance(error, httpx2.TransportError | ConnectionError | TimeoutError):
        kind = type(error).__name__
        return f"the connection to the Hub failed ({kind}: {error}): {_AGAIN}"
    return str(error)
