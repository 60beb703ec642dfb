"""What a person may call an image: its sha256, its address or its file name."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from styledag.collect.written_texts import AlikeNames
from styledag.images.records import CuratedImage, JpegImage

Image = TypeVar("Image", bound=JpegImage | CuratedImage)


def find_named(names: Iterable[str], images: Sequence[Image]) -> dict[str, list[Image]]:
    """Return the images that each name means, in their order; none for an unknown name.

    A name is the sha256 of a JPEG or of its original, an address (of a dropped copy, too), or
    else the last part of an address, percent signs decoded or not; with or without the blanks
    around it, and, if one alone is alike, whatever its case and Unicode form are.

    Args:
        names: Each once.
        images: Rows of a manifest; not looked at if there are no names.
    """
    wanted = tuple(names)
    if not wanted:
        return {}
    exact: dict[str, list[Image]] = defaultdict(list)
    files: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        addresses = (image.origin.url, *getattr(image, "copies", ()))
        for name in {image.sha256, image.raw_sha256, *addresses}:
            exact[name].append(image)
        for name in {name for address in addresses for name in _file_names(address)}:
            files[name].append(image)
    spelt = AlikeNames((*exact, *files))

    def meant(name: str) -> list[Image]:
        # A name may begin or end with a blank; one that a person typed there means nothing.
        ways = (name, name.strip())
        for way in (*ways, *(spelt.find(each) for each in ways)):
            if way in exact or way in files:
                return exact.get(way) or files[way]
        return []

    return {name: meant(name) for name in wanted}


def _file_names(address: str) -> set[str]:
    try:
        path = urlsplit(address).path if "://" in address else address
    except ValueError:
        return set()
    name = PurePosixPath(path).name
    return {name, unquote(name)} - {""}
