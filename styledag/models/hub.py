"""Files of a model on the Hugging Face Hub, from its cache or fetched into it.

The Hub is asked one short question before its client fetches anything: the client tries what fails
for half a minute, and waits for some answers without a limit.
"""

import glob
import re
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.errors import ModelError, ModelNotFetchedError
from styledag.models.files import Listing
from styledag.models.hub_errors import hub_errors, is_outage, quiet_retries

if TYPE_CHECKING:
    from styledag.models.reference import ModelReference

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REMEMBERED_S = 60.0
"""How long an answer counts: a model is asked for several times in a row, by its parts."""
_names: dict[tuple[str, str, str], tuple[float, frozenset[str]]] = {}
_outages: dict[str, tuple[float, BaseException]] = {}


def hub_names(model: str, revision: str) -> frozenset[str]:
    """Return the names of a model's files at a revision, as the Hub lists them.

    A Hub that is out of reach is not asked again within a minute, whatever the model.

    Raises:
        ModelError: If it does not list them, at its first failure, with the reason and a remedy.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HTTPError

    endpoint, now = constants.ENDPOINT, time.monotonic()
    key = endpoint, model, revision
    if key in _names and now - _names[key][0] < _REMEMBERED_S:
        return _names[key][1]
    with hub_errors(model, revision):
        if endpoint in _outages and now - _outages[endpoint][0] < _REMEMBERED_S:
            raise _outages[endpoint][1]
        try:
            limit_s = constants.HF_HUB_ETAG_TIMEOUT
            info = HfApi().model_info(model, revision=revision, timeout=limit_s)
        except (HTTPError, ValueError) as exc:
            if is_outage(exc):
                _outages[endpoint] = time.monotonic(), exc
            raise
    names = frozenset(each.rfilename for each in info.siblings or ())
    _names[key] = time.monotonic(), names
    return names


def hub_listing(reference: "ModelReference", *, fetch: bool = True) -> Listing:
    """Return a Hub repository's files; of a commit that is in the cache without a question."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    revision = _revision(reference)

    def cached() -> Iterable[str] | None:
        try:
            return [each.path for each in get_cached_repo_tree(reference.model, revision=revision)]
        except CachedRepoTreeNotFoundError:
            return None

    names = cached() if _COMMIT.fullmatch(revision) or not fetch else None
    if names is None and not fetch:
        raise _not_fetched(reference)
    if names is None:
        try:
            names = hub_names(reference.model, revision)
        except ModelError:
            names = cached()
            if names is None:
                raise
    return Listing.of_names(
        names, f"{reference.model}@{revision}", lambda name: hub_file(reference, name).read_bytes()
    )


def hub_file(reference: "ModelReference", name: str) -> Path:
    """Return a file of a Hub repository in the cache."""
    from huggingface_hub import hf_hub_download

    def fetch(revision: str) -> str:
        return str(hf_hub_download(reference.model, name, revision=revision)).removesuffix(name)

    return _fetched(reference, [name], fetch) / name


def hub_folder(reference: "ModelReference", names: Collection[str]) -> Path:
    """Return the folder of a Hub repository's snapshot in the cache, with these files in it."""
    from huggingface_hub import snapshot_download

    from styledag.models.hub_bars import HubBars

    patterns = [glob.escape(name) for name in names]

    def fetch(revision: str) -> str:
        return str(
            snapshot_download(
                reference.model, revision=revision, allow_patterns=patterns, tqdm_class=HubBars
            )
        )

    return _fetched(reference, names, fetch)


def _fetched(
    reference: "ModelReference", names: Collection[str], fetch: Callable[[str], str]
) -> Path:
    """Return the folder of a snapshot: of a commit from the cache without a question.

    Of a branch it is the cache's if the Hub does not answer.
    """
    revision = _revision(reference)
    if _COMMIT.fullmatch(revision):
        with suppress(ModelNotFetchedError):
            return cached_folder(reference, names)
    try:
        hub_names(reference.model, revision)
    except ModelError:
        with suppress(ModelNotFetchedError):
            return cached_folder(reference, names)
        raise
    with hub_errors(reference.model, reference.revision), quiet_retries():
        return Path(fetch(revision))


def cached_folder(reference: "ModelReference", names: Iterable[str]) -> Path:
    """Return the folder of a Hub repository's snapshot, if these files are all in the cache.

    Raises:
        ModelNotFetchedError: If one is not.
    """
    from huggingface_hub import try_to_load_from_cache

    revision = _revision(reference)
    folder = None
    for name in names:
        path = try_to_load_from_cache(reference.model, name, revision=revision)
        if not isinstance(path, str):
            raise _not_fetched(reference)
        folder = Path(path.removesuffix(name))
    if folder is None:
        raise _not_fetched(reference)
    return folder


def _not_fetched(reference: "ModelReference") -> ModelNotFetchedError:
    return ModelNotFetchedError(
        f"model {reference.model!r} at revision {reference.revision!r} was not fetched from the "
        "Hugging Face Hub yet: the next run fetches it"
    )


def _revision(reference: "ModelReference") -> str:
    if reference.revision is None or reference.model.count("/") != 1:
        raise ModelError(
            f"model {reference.model!r} is no folder or file of the project; name an existing one "
            "(data/starter comes with styledag's repository), or a Hub id with its revision"
        )
    return reference.revision
