"""Curated images for tests, with their JPEGs in the store."""

from io import BytesIO

from PIL import Image

from styledag.collect.records import Origin
from styledag.images.records import CuratedImage
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace

COLOURS = ("red", "green", "blue", "white", "black", "orange", "purple", "grey")


def jpeg(colour: str, size_px: int = 64) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (size_px, size_px), colour).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def curated(workspace: Workspace, colour: str, title: str = "", **fields) -> CuratedImage:
    sha256 = workspace.blobs.put(jpeg(colour))
    return CuratedImage(
        **{
            "origin": Origin(url=f"https://wiki.example/{colour}.png", title=title),
            "raw_sha256": "raw-" + colour,
            "sha256": sha256,
            "width_px": 64,
            "height_px": 64,
            "raw_width_px": 200,
            "raw_height_px": 100,
            "crop_left_px": 32,
            "crop_top_px": 0,
            "family": sha256,
            "family_size": 1,
        }
        | fields
    )


def curated_manifest(workspace: Workspace, *colours: str) -> Manifest[CuratedImage]:
    return Manifest(tuple(curated(workspace, colour) for colour in colours))
