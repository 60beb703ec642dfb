"""What a source yields: images found on pages, then taken one by one."""

from collections.abc import Iterable
from dataclasses import dataclass

from styledag.collect.records import Origin, RawImage
from styledag.collect.web.client import Client
from styledag.errors import FetchError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace


@dataclass(frozen=True)
class Harvest:
    """Images taken from one source, and what was left out."""

    images: tuple[RawImage, ...]
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True, kw_only=True)
class Find:
    """An image that a page shows, before it is fetched.

    Attributes:
        origin: Where it was found.
        sha1: Of its bytes, if the source says so.
        refusal: Why it isn't worth asking for, if the source has said so much of it.
    """

    origin: Origin
    sha1: str = ""
    refusal: FetchError | None = None


def rejection(subject: str, error: FetchError) -> Rejection:
    """Return how a failed address is counted."""
    return Rejection(subject=subject[:2_000], reason=error.reason, detail=error.detail)


def take_images(finds: Iterable[Find], client: Client, workspace: Workspace) -> Harvest:
    """Fetch every image once, whichever pages show it.

    Args:
        finds: In any order; of the pages that show one image, the first by address counts.
        client: Fetches and keeps them.
        workspace: Shows the progress.

    Returns:
        The images, and those that could not be had or were over ``max_images``.
    """
    first: dict[str, Find] = {}
    for find in sorted(finds, key=lambda find: find.origin.page_url):
        first.setdefault(find.origin.url, find)
    images: list[RawImage] = []
    rejected: list[Rejection] = []
    with workspace.progress.task("images", len(first)) as advance:
        for url, find in first.items():
            try:
                images.append(_taken(find, client, room=client.settings.max_images - len(images)))
            except FetchError as exc:
                rejected.append(rejection(url, exc))
            advance(1)
    return Harvest(tuple(images), tuple(rejected))


def _taken(find: Find, client: Client, *, room: int) -> RawImage:
    if find.refusal is not None:
        raise find.refusal
    if room <= 0:
        raise FetchError("over_max_images", f"max_images is {client.settings.max_images}")
    received = client.image(find.origin.url, sha1=find.sha1, referer=find.origin.page_url)
    return RawImage(
        origin=find.origin,
        sha256=received.sha256,
        sha1=received.sha1,
        size_bytes=received.size_bytes,
        content_type=received.image_type,
        etag=received.etag,
        last_modified=received.last_modified,
    )
