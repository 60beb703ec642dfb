"""What a source yields: images found on pages, then taken host by host."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from styledag.collect.records import UNKNOWN_LICENCE, Origin, RawImage
from styledag.collect.web.client import Client
from styledag.collect.web.signatures import without_signature
from styledag.collect.web.turns import fetch_by_host, one_at_a_time
from styledag.errors import FetchError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace

_NOT_THERE = ("http_400", "http_401", "http_403", "http_404", "http_410")
MANY_OF_ONE = 5
"""Addresses of one file from which on it is probably none of theirs."""


@dataclass(frozen=True)
class Harvest:
    """Images taken from one source, and what was left out.

    Attributes:
        rejected: What was not, and why.
        inside: Folder or archive that the images' addresses are names in; empty on the web.
        notes: Lines for the person who writes the source: what was found where.
    """

    images: tuple[RawImage, ...]
    rejected: tuple[Rejection, ...]
    inside: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Find:
    """An image that a page shows, before it is fetched.

    Attributes:
        sha1: Of its bytes, if the source says so.
        refusal: Why it isn't worth asking for, if the source has said so much of it.
        signed_url: The address to ask, where the origin's lacks a signature that expires.
        shown_url: The address that the page shows, where the origin's is that of the file which it
            was probably made from: asked if that one is not there.
    """

    origin: Origin
    sha1: str = ""
    refusal: FetchError | None = None
    signed_url: str = ""
    shown_url: str = ""


def rejection(subject: str, error: FetchError) -> Rejection:
    """Return how a failed address is counted."""
    return Rejection(subject=subject[:2_000], reason=error.reason, detail=error.detail)


def take_images(finds: Iterable[Find], client: Client, workspace: Workspace) -> Harvest:
    """Fetch every image once, whichever pages show it.

    Several hosts are asked at once, each for one image at a time. What is taken does not depend on
    which answers first: the budgets go to the first images, in the order of their pages.

    Args:
        finds: In any order; of the pages that show one image, the one that says most of it counts,
            and of equals the first by address. If one refuses its use, that holds.
        client: Fetches and keeps them.
        workspace: Shows the progress.

    Returns:
        The images, and those that could not be had, were over ``max_images`` or
        ``max_total_bytes``, or that many addresses are redirected to: it is none of theirs.
    """
    first: dict[str, Find] = {}
    for find in sorted(finds, key=_order):
        first.setdefault(find.origin.url, find)
    waiting = list(first.values())
    budget = _Budget(client)
    led_to: dict[str, str] = {}
    with workspace.progress.task("images", len(first)) as shown:
        advance = one_at_a_time(shown)
        client.on_wait = lambda seconds: advance(0, waiting_s=seconds)
        while waiting and budget.room:
            # No more at once than there is room for, so that nothing is fetched to be dropped.
            now, waiting = waiting[: budget.room], waiting[budget.room :]
            results = _fetched(now, client, led_to, lambda: advance(1))
            for find, result in zip(now, results, strict=True):
                budget.spend(find.origin, result)
        for find in waiting:
            budget.spend(find.origin, budget.refusal())
            advance(1)
    images, stand_ins = _without_stand_ins(budget.images, led_to)
    return Harvest(tuple(images), (*budget.rejected, *stand_ins))


def _order(find: Find) -> tuple[bool, int, str]:
    origin = find.origin
    said = (origin.caption, origin.author, origin.description, origin.title, origin.alt)
    count = sum(map(bool, said)) + (origin.licence != UNKNOWN_LICENCE)
    return (find.refusal is None, -count, origin.page_url)


def _without_stand_ins(
    images: Sequence[RawImage], led_to: Mapping[str, str]
) -> tuple[list[RawImage], list[Rejection]]:
    """Return the images without those that a server shows in place of what is gone.

    Args:
        images: What was taken.
        led_to: Where their addresses were redirected to, if they were.
    """
    shared = Counter(led_to.get(image.key) for image in images)
    kept: list[RawImage] = []
    rejected: list[Rejection] = []
    for image in images:
        where = led_to.get(image.key)
        if where is None or shared[where] < MANY_OF_ONE:
            kept.append(image)
            continue
        detail = (
            f"leads to {where}, as {shared[where]} addresses do: what the server shows in place "
            "of images that are gone"
        )
        rejected.append(Rejection(subject=image.key, reason="redirected", detail=detail))
    return kept, rejected


class _Budget:
    """What may still be taken, and what was."""

    def __init__(self, client: Client) -> None:
        self.images: list[RawImage] = []
        self.rejected: list[Rejection] = []
        self._settings = client.settings
        self._bytes = 0

    @property
    def room(self) -> int:
        """How many more images may be taken."""
        if self._bytes >= self._settings.max_total_bytes:
            return 0
        return self._settings.max_images - len(self.images)

    def refusal(self) -> FetchError:
        """Return why nothing more is taken."""
        if len(self.images) >= self._settings.max_images:
            return FetchError("over_max_images", f"max_images is {self._settings.max_images}")
        limit = self._settings.max_total_bytes
        return FetchError("over_max_bytes", f"max_total_bytes is {limit}")

    def spend(self, origin: Origin, result: RawImage | FetchError) -> None:
        """Count one result."""
        if isinstance(result, RawImage) and not self.room:
            result = self.refusal()
        if isinstance(result, FetchError):
            self.rejected.append(rejection(origin.url, result))
            return
        self._bytes += result.size_bytes
        self.images.append(result)


def _fetched(
    finds: Sequence[Find], client: Client, led_to: dict[str, str], done: Callable[[], None]
) -> Sequence[RawImage | FetchError]:
    def fetch(at: int) -> Callable[[], RawImage]:
        return _taken(finds[at], client, led_to)

    return fetch_by_host([find.origin.url for find in finds], fetch, done)


def _taken(find: Find, client: Client, led_to: dict[str, str]) -> Callable[[], RawImage]:
    """Fetch an image; return what keeps it, and notes where it was redirected to."""
    if find.refusal is not None:
        raise find.refusal
    url = find.origin.url
    try:
        keep = client.ask_image(
            find.signed_url or url, known_as=url, sha1=find.sha1, referer=find.origin.page_url
        )
    except FetchError as exc:
        if not find.shown_url or exc.reason not in _NOT_THERE:
            raise
        lasting = without_signature(find.shown_url)
        signed = "" if lasting == find.shown_url else find.shown_url
        shown = Find(origin=replace(find.origin, url=lasting), signed_url=signed)
        return _taken(shown, client, led_to)

    def take() -> RawImage:
        received = keep()
        if received.final_url not in (url, find.signed_url):
            led_to[url] = received.final_url
        return RawImage(
            origin=find.origin,
            sha256=received.sha256,
            sha1=received.sha1,
            size_bytes=received.size_bytes,
            content_type=received.image_type,
            etag=received.etag,
            last_modified=received.last_modified,
        )

    return take
