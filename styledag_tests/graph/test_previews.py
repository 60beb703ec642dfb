"""Thumbnails for the web UI: small, and never the reason for a failure."""

import io
from pathlib import Path

import pytest
from PIL import Image

from styledag.collect.records import Origin, RawImage
from styledag.graph.previews import first_images, image_of
from styledag.manifest import Manifest
from styledag.sampling.gif import marked_gif
from styledag.sampling.marking import TRAINED_ALGORITHMIC_MEDIA
from styledag.store.artifact import Artifact
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace

MAX_BYTES = 60_000


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def raw_images(store: Store, contents: list[bytes]) -> Artifact:
    def collect(workspace: Workspace) -> dict[str, int]:
        rows = [
            RawImage(
                origin=Origin(url=str(place)),
                sha256=workspace.blobs.put(content),
                sha1="",
                size_bytes=len(content),
                content_type="image/png",
            )
            for place, content in enumerate(contents)
        ]
        Manifest(tuple(rows)).write(workspace.folder)
        return {}

    target = Target(asset="raw_images", partition=str(len(contents)), code_version="1")
    return store.build(target, collect).artifact


def test_images_that_cannot_be_decoded_are_left_out(store: Store) -> None:
    preview = first_images(RawImage, lambda row: row.sha256)
    good = encoded(Image.effect_noise((200, 300), 90), "PNG")
    shown = preview(raw_images(store, [good, b"no image", good[:500]]))
    assert shown is not None
    with Image.open(io.BytesIO(shown)) as sheet:
        assert sheet.format == "JPEG"
    assert preview(raw_images(store, [b"no image"])) is None


@pytest.mark.parametrize("side", [32, 500])
def test_a_gif_is_shown_whole_or_by_one_frame_and_stays_marked(store: Store, side: int) -> None:
    frames = [Image.effect_noise((side, side), 90).convert("RGB") for _ in range(4)]

    def draw(workspace: Workspace) -> dict[str, int]:
        path = workspace.folder / "gifs" / "a" / "all.gif"
        path.parent.mkdir(parents=True)
        path.write_bytes(marked_gif(frames, [80] * 4))
        return {}

    target = Target(asset="evolution", partition=str(side), code_version="1")
    shown = image_of("gifs/*/all.gif")(store.build(target, draw).artifact)
    assert shown is not None
    assert len(shown) <= MAX_BYTES
    assert shown.startswith(b"GIF8") == (side == 32)
    assert TRAINED_ALGORITHMIC_MEDIA.encode() in shown


def test_a_image_that_is_not_there_gives_no_preview(store: Store) -> None:
    def write(workspace: Workspace) -> dict[str, int]:
        Path(workspace.folder / "other.txt").write_text("")
        return {}

    artifact = store.build(Target(asset="a", partition="a", code_version="1"), write).artifact
    assert image_of("grid.png")(artifact) is None
