"""Publish to the Hugging Face Hub in one commit, with what differs only."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.publishing.hub.patience import hub_errors, patiently
from styledag.publishing.hub.release import TAG_PREFIX, Release
from styledag.publishing.hub.settings import Kind, PublishSettings
from styledag.store.artifact import Facts

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_BRANCH = "main"


def publish_to_hub(
    release: Release,
    repo: str,
    kind: Kind,
    settings: PublishSettings,
    *,
    token: str | None,
    endpoint: str | None,
) -> Facts:
    """Publish a release to a repository and return what was done.

    The commit names the version and its source, and a tag marks it. Large files are uploaded
    before the commit, each by its content, so a repeated call sends only what is missing. A version
    from before the newest one is published again, as a commit of its own. Files
    that the version before did not contain stay. The commit is refused if another one came in
    between: nothing of somebody else is overwritten.

    Args:
        release: What is published.
        repo: ``owner/name``; made if it is not there.
        kind: Whether it is a model or a dataset.
        settings: Visibility of a new repository, and the number of tries.
        token: Access token; that of ``hf auth login`` when left out.
        endpoint: URL of the Hub; huggingface_hub's when left out.

    Raises:
        PublishError: If the Hub refuses, another commit came in between, or the connection fails.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token=token)
    with hub_errors(repo):
        return patiently(lambda: _publish(api, release, repo, kind, settings), settings.tries)


@dataclass(frozen=True)
class _Repository:
    """Head of the branch, and its tags by name; both commits."""

    head: str | None
    tags: Mapping[str, str]


def _publish(
    api: "HfApi", release: Release, repo: str, kind: Kind, settings: PublishSettings
) -> Facts:
    """Do all of it once; every step is safe to repeat."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    repository = _repository(api, repo, kind)
    if repository is None:
        api.create_repo(repo, repo_type=kind, private=settings.private, exist_ok=True)
        repository = _repository(api, repo, kind) or _Repository(None, {})
    files = release.files()
    facts = {
        "repo": repo,
        "version": release.version,
        "tag": release.tag,
        "url": f"{api.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo}",
    }
    newest = _newest_release(api, repo, kind, repository)
    if newest is not None and newest == repository.tags.get(release.tag):
        nothing = {"uploaded": 0, "uploaded_bytes": 0, "unchanged": len(files), "deleted": 0}
        return facts | nothing | {"commit": newest, "was_there": True}
    remote = _remote_files(api, repo, kind, repository.head)
    changed = {name: path for name, path in files.items() if not _is_equal(path, remote.get(name))}
    # Of the version before; all others are somebody else's, and .gitattributes the Hub's own.
    released = _remote_files(api, repo, kind, newest).keys() - {".gitattributes"}
    gone = sorted(released & remote.keys() - files.keys())
    commit = repository.head
    if changed or gone:
        operations = [CommitOperationDelete(path_in_repo=name) for name in gone]
        operations += [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=path)
            for name, path in changed.items()
        ]
        commit = api.create_commit(
            repo,
            operations,
            commit_message=release.title,
            commit_description=release.description,
            repo_type=kind,
            revision=_BRANCH,
            parent_commit=repository.head,
        ).oid
    if release.tag in repository.tags:  # A version from before, published again.
        api.delete_tag(repo, tag=release.tag, repo_type=kind)
    api.create_tag(
        repo,
        tag=release.tag,
        tag_message=release.description,
        revision=commit,
        repo_type=kind,
        exist_ok=True,
    )
    return facts | {
        "commit": commit,
        "uploaded": len(changed),
        "uploaded_bytes": sum(path.stat().st_size for path in changed.values()),
        "unchanged": len(files) - len(changed),
        "deleted": len(gone),
        "was_there": False,
    }


def _repository(api: "HfApi", repo: str, kind: Kind) -> _Repository | None:
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        refs = api.list_repo_refs(repo, repo_type=kind)
    except RepositoryNotFoundError as exc:
        if exc.response.status_code != 404:
            raise  # huggingface_hub calls a refused token so, too
        return None
    heads = {branch.name: branch.target_commit for branch in refs.branches}
    return _Repository(heads.get(_BRANCH), {tag.name: tag.target_commit for tag in refs.tags})


def _remote_files(
    api: "HfApi", repo: str, kind: Kind, head: str | None
) -> dict[str, tuple[str, str]]:
    """Return algorithm and digest of each file at a commit, by path."""
    from huggingface_hub.hf_api import RepoFile

    if head is None:
        return {}
    entries = api.list_repo_tree(repo, recursive=True, revision=head, repo_type=kind)
    return {
        entry.path: ("sha256", entry.lfs.sha256) if entry.lfs else ("git", entry.blob_id)
        for entry in entries
        if isinstance(entry, RepoFile)
    }


def _newest_release(api: "HfApi", repo: str, kind: Kind, repository: _Repository) -> str | None:
    """Return the commit of the version that was published last; ``None`` if none was.

    An older one may be published again, and is then that of the newest commit with its files.
    """
    ours = {commit for tag, commit in repository.tags.items() if tag.startswith(TAG_PREFIX)}
    if not ours or repository.head in ours:
        return repository.head if ours else None
    commits = api.list_repo_commits(repo, repo_type=kind, revision=repository.head)
    return next((each.commit_id for each in commits if each.commit_id in ours), None)


def _is_equal(path: Path, remote: tuple[str, str] | None) -> bool:
    if remote is None:
        return False
    algorithm, expected = remote
    digest = hashlib.sha256()
    if algorithm == "git":
        # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: digest).hexdigest() == expected
