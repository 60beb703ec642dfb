"""What the Hugging Face Hub's client raises when a model is fetched, as errors with a remedy."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from styledag.errors import ModelError

_TOO_MANY, _SERVER_ERROR = 429, 500


@contextmanager
def hub_errors(model: str, revision: str | None) -> Iterator[None]:
    """Turn what the Hub's client raises into an error that names the model.

    Args:
        model: The model's id.
        revision: Its revision.

    Raises:
        ModelError: In place of any of it.
    """
    from huggingface_hub.errors import CorruptedCacheException, HTTPError, XetDownloadError

    try:
        yield
    # What transfers files by Xet raises errors of its own, or a RuntimeError.
    except (
        *(HTTPError, OSError, ValueError, RuntimeError),
        *(CorruptedCacheException, XetDownloadError),
    ) as exc:
        raise ModelError(
            f"model {model!r} at revision {revision!r} cannot be had from the Hugging Face Hub: "
            f"{_explained(model, exc)}"
        ) from exc


def _explained(model: str, error: BaseException) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    kind = type(error).__name__
    if constants.HF_HUB_OFFLINE:
        return (
            f"huggingface_hub is in offline mode, and its cache, {constants.HF_HUB_CACHE}, has not "
            "all of it: unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE, or name a folder that does"
        )
    match error:
        case GatedRepoError():
            said = f" ({error.server_message})" if error.server_message else ""
            return (
                f"its terms must be accepted first: open {constants.ENDPOINT}/{model} and accept "
                "them, then run `hf auth login` here, or set HF_TOKEN, to a token that may read "
                f"public gated repositories{said}"
            )
        case RepositoryNotFoundError():
            return (
                "there is no such model, or it is private: check its name, and the token (`hf auth "
                "login` or HF_TOKEN)"
            )
        case RevisionNotFoundError():
            return "it has no such revision: name a branch, a tag or a commit"
        case HfHubHTTPError():
            status = error.response.status_code
            passes = status == _TOO_MANY or status >= _SERVER_ERROR
            advice = "try again later" if passes else "check its name, its files and the token"
            return f"HTTP {status} ({error.server_message or kind}): {advice}"
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"no space is left in its cache, {constants.HF_HUB_CACHE}: free some, or set "
                "HF_HOME to a folder with more"
            )
    return f"{kind}: check the network and its name, or name a folder that holds it"
