"""Files of a model on the Hugging Face Hub, from its cache or fetched into it.

The Hub is asked one short question before its client fetches anything: the client tries what fails
for half a minute, and waits for some answers without a limit.
"""

import glob
import re
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from styledag.errors import ModelError, ModelNotFetchedError
from styledag.models.files import Listing
from styledag.models.hub_errors import hub_errors, is_outage, quiet_retries

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REMEMBERED_S = 60.0
"""How long an answer counts: a model is asked for several times in a row, by its parts."""


@dataclass(frozen=True)
class HubAnswer:
    """What the Hub has of a model or dataset at a revision."""

    commit: str | None
    names: frozenset[str]


_answers: dict[tuple[str, ...], tuple[float, HubAnswer]] = {}
_outages: dict[str, tuple[float, BaseException]] = {}


def ask_hub(
    repo: str, revision: str | None, kind: Literal["model", "dataset"] = "model"
) -> HubAnswer:
    """Return what the Hub has of a model or dataset at a revision.

    A Hub that is out of reach is not asked again within a minute, whatever for.

    Raises:
        ModelError: If it does not answer, at its first failure, with the reason and a remedy.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HTTPError

    endpoint, now = constants.ENDPOINT, time.monotonic()
    key = endpoint, kind, repo, str(revision)
    if key in _answers and now - _answers[key][0] < _REMEMBERED_S:
        return _answers[key][1]
    with hub_errors(repo, revision, kind):
        if endpoint in _outages and now - _outages[endpoint][0] < _REMEMBERED_S:
            raise _outages[endpoint][1]
        try:
            limit_s = constants.HF_HUB_ETAG_TIMEOUT
            info = HfApi().repo_info(repo, repo_type=kind, revision=revision, timeout=limit_s)
        except (HTTPError, ValueError) as exc:
            if is_outage(exc):
                _outages[endpoint] = time.monotonic(), exc
            raise
    names = frozenset(each.rfilename for each in info.siblings or ())
    _answers[key] = time.monotonic(), HubAnswer(info.sha, names)
    return _answers[key][1]


def hub_listing(model: str, revision: str, *, fetch: bool = True) -> Listing:
    """Return a Hub repository's files; of a commit that is in the cache without a question."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    def cached() -> Iterable[str] | None:
        try:
            return [each.path for each in get_cached_repo_tree(model, revision=revision)]
        except CachedRepoTreeNotFoundError:
            return None

    names = cached() if _COMMIT.fullmatch(revision) or not fetch else None
    if names is None and not fetch:
        raise _not_fetched(model, revision)
    if names is None:
        try:
            names = ask_hub(model, revision).names
        except ModelError:
            names = cached()
            if names is None:
                raise
    return Listing.of_names(
        names, f"{model}@{revision}", lambda name: hub_file(model, revision, name).read_bytes()
    )


def hub_file(model: str, revision: str, name: str) -> Path:
    """Return a file of a Hub repository in the cache."""
    from huggingface_hub import hf_hub_download

    def fetch() -> str:
        return str(hf_hub_download(model, name, revision=revision)).removesuffix(name)

    return _fetched(model, revision, [name], fetch) / name


def hub_folder(model: str, revision: str, names: Collection[str]) -> Path:
    """Return the folder of a Hub repository's snapshot in the cache, with these files in it."""
    from huggingface_hub import snapshot_download

    from styledag.models.hub_bars import HubBars

    patterns = [glob.escape(name) for name in names]

    def fetch() -> str:
        return str(
            snapshot_download(model, revision=revision, allow_patterns=patterns, tqdm_class=HubBars)
        )

    return _fetched(model, revision, names, fetch)


def _fetched(model: str, revision: str, names: Collection[str], fetch: Callable[[], str]) -> Path:
    """Return the folder of a snapshot: of a commit from the cache without a question.

    Of a branch it is the cache's if the Hub does not answer.
    """
    if _COMMIT.fullmatch(revision):
        with suppress(ModelNotFetchedError):
            return cached_folder(model, revision, names)
    try:
        ask_hub(model, revision)
    except ModelError:
        with suppress(ModelNotFetchedError):
            return cached_folder(model, revision, names)
        raise
    with hub_errors(model, revision), quiet_retries():
        return Path(fetch())


def cached_folder(model: str, revision: str, names: Iterable[str]) -> Path:
    """Return the folder of a Hub repository's snapshot, if these files are all in the cache.

    Raises:
        ModelNotFetchedError: If one is not.
    """
    from huggingface_hub import try_to_load_from_cache

    folder = None
    for name in names:
        path = try_to_load_from_cache(model, name, revision=revision)
        if not isinstance(path, str):
            raise _not_fetched(model, revision)
        folder = Path(path.removesuffix(name))
    if folder is None:
        raise _not_fetched(model, revision)
    return folder


def _not_fetched(model: str, revision: str) -> ModelNotFetchedError:
    return ModelNotFetchedError(
        f"model {model!r} at revision {revision!r} was not fetched from the "
        "Hugging Face Hub yet: the next run fetches it"
    )
