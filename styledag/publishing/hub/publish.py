"""Publish a folder: to the Hub or to a folder, once for each version."""

from pathlib import Path

from styledag.publishing.hub.folder import publish_to_folder
from styledag.publishing.hub.hub import publish_to_hub
from styledag.publishing.hub.release import Release
from styledag.publishing.hub.settings import Kind, PublishSettings
from styledag.publishing.licences import check_licences, count_licences
from styledag.store.artifact import Facts
from styledag.store.digest import folder_digest


def publish_folder(
    folder: Path,
    repo: str,
    kind: Kind,
    settings: PublishSettings,
    *,
    dataset: Path,
    source_revision: str,
    token: str | None = None,
    endpoint: str | None = None,
) -> Facts:
    """Publish a folder's content and return what was done.

    Only files that differ are transferred, files that are gone are deleted, and a version that is
    already published is left alone. An interrupted call is repeated safely: what arrived is not
    sent again.

    Args:
        folder: Folder with a card and everything else; a build's record and log are not published.
        repo: Hub id ``owner/name``, or the path of a folder.
        kind: Whether it is a model or a dataset.
        settings: Where to publish, and under which conditions.
        dataset: Folder of the dataset whose licences are checked: that of the model's images, or
            ``folder`` itself.
        source_revision: Revision of the code or version of the artifact that this comes from, for
            the commit.
        token: Access token of the Hub; that of ``hf auth login`` when left out.
        endpoint: URL of the Hub; huggingface_hub's when left out.

    Returns:
        Version, tag, commit, URL, and the files uploaded, unchanged and deleted.

    Raises:
        PublishError: If a licence is denied, the Hub refuses, or the connection fails.
        DataError: If the dataset cannot be read.
        StorageError: If the target folder cannot be written, or contains something else.
    """
    check_licences(count_licences(dataset), settings.deny_licences)
    release = Release(folder=folder, version=folder_digest(folder), source_revision=source_revision)
    if settings.to == "folder":
        return publish_to_folder(release, Path(repo))
    return publish_to_hub(release, repo, kind, settings, token=token, endpoint=endpoint)
