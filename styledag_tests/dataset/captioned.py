"""Captioned images for tests, with their JPEGs in the store."""

from styledag.captions.cleaning.rules import RULES_VERSION
from styledag.captions.records import CaptionedImage
from styledag.collect.records import Origin
from styledag.manifest import Manifest, Rejection
from styledag.store.workspace import Workspace
from styledag_tests.captions.images import curated

HOSTILE = (
    "</td><script>alert(1)</script> | [x](javascript:x) `a` ![](b) # h\n---\n\x00{{ 7*7 }} שלום"
)


def captioned_image(workspace: Workspace, number: int, **fields) -> CaptionedImage:
    """One image of its own colour; ``fields`` are of the curated image."""
    colour = f"#{number * 2654435761 % 0xFFFFFF:06x}"
    origin = Origin(
        url=f"https://wiki.example/{number}.png",
        page_url=f"https://wiki.example/page/{number}",
        title=f"Number {number}",
        licence="CC-BY-4.0" if number % 2 else "unknown",
        author="Ada" if number % 2 else "",
    )
    return CaptionedImage(
        image=curated(workspace, colour, **({"origin": origin} | fields)),
        raw_caption=f"there is a number {number}",
        cleaned_caption=f"a number {number}",
        caption=f"a number {number}",
        source="captioner",
        rules_version=RULES_VERSION,
        template="{caption}",
        captioner="blip 1",
        rule_hits=("opening",),
        variants=(f"a painting of a number {number}",) * (number % 2),
    )


def captioned_manifest(workspace: Workspace, count: int) -> Manifest[CaptionedImage]:
    rejected = (Rejection(subject="gone", reason="empty_caption"),)
    return Manifest(tuple(captioned_image(workspace, n) for n in range(count)), rejected)
