"""What the Hugging Face Hub's client raises when a model is fetched, as errors with a remedy."""

import errno
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from styledag.errors import ModelError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_TOO_MANY, _SERVER_ERROR = 429, 500
_MOST_CHARACTERS = 200
"""How much of an answer is quoted: proxies answer with a page."""
_REACH = (
    "check the network, set HTTPS_PROXY if it has a proxy or HF_ENDPOINT to a mirror, or name a "
    "folder that holds it"
)


@contextmanager
def hub_errors(
    repo: str, revision: str | None, kind: Literal["model", "dataset"] = "model"
) -> Iterator[None]:
    """Turn what the Hub's client raises into an error that names the model or dataset.

    Args:
        repo: Its id.
        revision: Its revision.
        kind: What it is.

    Raises:
        ModelError: In place of any of it.
    """
    import httpx2
    from huggingface_hub.errors import CorruptedCacheException, HTTPError, XetDownloadError

    try:
        yield
    # What transfers files by Xet raises errors of its own, or a RuntimeError.
    except (
        *(HTTPError, OSError, ValueError, RuntimeError),
        *(CorruptedCacheException, XetDownloadError),
        *(httpx2.InvalidURL, ImportError),  # of a proxy
    ) as exc:
        at = "" if revision is None else f" at revision {revision!r}"
        path = f"{kind}s/{repo}" if kind == "dataset" else repo
        raise ModelError(
            f"{kind} {repo!r}{at} cannot be had from the Hugging Face Hub: "
            f"{_explained(kind, path, exc)}"
        ) from exc


@contextmanager
def quiet_retries() -> Iterator[None]:
    """Keep the Hub's client from logging each of its tries, for a while; not for how long it waits.

    What fails at last is an error, and a bar or a line shows what is fetched.
    """

    def is_shown(record: logging.LogRecord) -> bool:
        return record.getMessage().startswith("Rate limited")

    logger = logging.getLogger("huggingface_hub.utils._http")
    logger.addFilter(is_shown)
    try:
        yield
    finally:
        logger.removeFilter(is_shown)


def is_outage(error: BaseException) -> bool:
    """Return whether an error is the Hub's or the network's as a whole, and not a model's."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        status: int = error.response.status_code
        return status == _TOO_MANY or status >= _SERVER_ERROR
    return isinstance(error, httpx2.TransportError | json.JSONDecodeError)


def _explained(what: str, path: str, error: BaseException) -> str:
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if constants.HF_HUB_OFFLINE:
        return (
            f"huggingface_hub is in offline mode, and its cache, {constants.HF_HUB_CACHE}, has not "
            "all of it: unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE, or name a folder that does"
        )
    if isinstance(error.__cause__, HfHubHTTPError | httpx2.TransportError):
        error = error.__cause__  # of a file that is not in the cache either
    words = " ".join(str(error).split())[:_MOST_CHARACTERS]
    why = f"{type(error).__name__}: {words}" if words else type(error).__name__
    match error:
        case GatedRepoError():
            said = f" ({_quoted(error)})" if error.server_message else ""
            return (
                f"its terms must be accepted first: open {constants.ENDPOINT}/{path} and accept "
                "them, then run `hf auth login` here, or set HF_TOKEN, to a token that may read "
                f"public gated repositories{said}"
            )
        case RepositoryNotFoundError():
            return (
                f"there is no such {what}, or it is private: check its name, and the token (`hf "
                "auth login` or HF_TOKEN)"
            )
        case RevisionNotFoundError():
            return "it has no such revision: name a branch, a tag or a commit"
        case HfHubHTTPError():
            return _refused(error)
        case httpx2.TransportError() | json.JSONDecodeError():
            return _unreachable(error, why)
        case httpx2.InvalidURL() | ImportError():
            return f"an address cannot be used ({why}): correct HTTPS_PROXY, ALL_PROXY, HF_ENDPOINT"
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"no space is left in its cache, {constants.HF_HUB_CACHE}: free some, or set "
                "HF_HOME to a folder with more"
            )
    return f"{why}: check the network, its name and the token (HF_TOKEN), or name a folder instead"


def _refused(error: "HfHubHTTPError") -> str:
    """Return what a status means, and what helps."""
    from huggingface_hub import constants

    from styledag.retry_after import retry_after_s

    status, headers = error.response.status_code, error.response.headers
    wait_s = retry_after_s(headers.get("Retry-After"), date=headers.get("Date"))
    later = "try again later" if wait_s is None else f"try again in {wait_s:.0f} s"
    match status:
        case 401:
            advice = "log in anew (`hf auth login`), or set HF_TOKEN to a token that is valid"
        case 403:
            advice = (
                "check the token's rights (`hf auth login` or HF_TOKEN), and whether a proxy or "
                "filter of the network refuses it"
            )
        case 404:
            advice = (
                f"check its name and files, and that {constants.ENDPOINT} (HF_ENDPOINT) is a Hub"
            )
        case 429:
            advice = f"{later}, or log in (`hf auth login` or HF_TOKEN), which permits more"
        case _ if status >= _SERVER_ERROR:
            advice = f"{later}, set HF_ENDPOINT to a mirror, or name a folder that holds it"
        case _:
            advice = "check its name, its files and the token"
    return f"HTTP {status} ({_quoted(error)}): {advice}"


def _quoted(error: "HfHubHTTPError") -> str:
    """Return the words of an answer in one line, without those of a web page."""
    words = " ".join((error.server_message or "").split())
    said = error.response.reason_phrase if not words or "<" in words else words
    return str(said)[:_MOST_CHARACTERS]


def _unreachable(error: BaseException, why: str) -> str:
    """Return which host cannot be reached: files come from others than their list."""
    from huggingface_hub import constants

    origin, trust = constants.ENDPOINT, ""
    if isinstance(error, json.JSONDecodeError):
        why = "something else than a Hub answers, such as a login page of the network"
    if "CERTIFICATE" in why:
        trust = "set SSL_CERT_FILE to the certificates of the network, "
    with suppress(AttributeError, RuntimeError):  # without a request, or an unknown one
        url = error.request.url  # type: ignore[attr-defined]
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}" if url.host else origin
    return f"{origin} cannot be reached ({why}): {trust}{_REACH}"
