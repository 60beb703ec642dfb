"""Images made for the tests, as files in memory, and manifests of them."""

import hashlib
import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from styledag.collect.records import Origin, RawImage
from styledag.images.records import JpegImage
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace

Colour = tuple[int, ...]


def saved(image: Image.Image, format_name: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def plain(colour: Colour | int | str, size: tuple[int, int] = (40, 40), mode: str = "RGB") -> Any:
    return Image.new(mode, size, colour)


def noisy(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """An image of smooth random blots, so that JPEG keeps it and no two seeds look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes, *chunks: Any) -> bytes:
    """A PNG written by hand, for what Pillow reads and does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def raw_image(content: bytes, url: str, workspace: Workspace) -> RawImage:
    return RawImage(
        origin=Origin(url=url, title=url.rsplit("/", 1)[-1]),
        sha256=workspace.blobs.put(content),
        sha1=hashlib.sha1(content).hexdigest(),
        size_bytes=len(content),
        content_type="image/png",
    )


def raw_manifest(workspace: Workspace, **contents: bytes) -> Manifest[RawImage]:
    rows = [
        raw_image(content, f"http://images.test/{name}", workspace)
        for name, content in contents.items()
    ]
    return Manifest(tuple(rows))


def jpeg_image(
    image: Image.Image,
    name: str,
    workspace: Workspace,
    *,
    raw_size: tuple[int, int] = (64, 64),
    quality: int = 95,
) -> JpegImage:
    content = saved(image, "JPEG", quality=quality, subsampling=0)
    return JpegImage(
        origin=Origin(url=f"http://images.test/{name}", title=name),
        raw_sha256=hashlib.sha256(name.encode()).hexdigest(),
        sha256=workspace.blobs.put(content),
        width_px=image.width,
        height_px=image.height,
        raw_width_px=raw_size[0],
        raw_height_px=raw_size[1],
        crop_left_px=0,
        crop_top_px=0,
        raw_format="PNG",
    )
