"""Images on the page, read back by Pillow."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from styledag.errors import StorageError
from styledag.report.images import Embedded, Wanted, embed
from styledag.sampling.gif import marked_gif
from styledag.sampling.marking import TRAINED_ALGORITHMIC_MEDIA, marked_png
from styledag_tests.report.example import gif, image, jpeg, png


def decoded(embedded: Embedded) -> Image.Image:
    head, content = embedded.uri.split(",", 1)
    image = Image.open(io.BytesIO(base64.b64decode(content, validate=True)))
    assert head == f"data:{Image.MIME[image.format or '']};base64"
    assert image.size == (embedded.width_px, embedded.height_px)
    return image


def test_images_that_fit_are_embedded_byte_for_byte(tmp_path: Path) -> None:
    path, content = png(tmp_path, "sample"), jpeg("training")
    album = embed([Wanted(source=path), Wanted(source=content)], 1_000_000)
    assert album.side_px is None
    assert album.images[path].uri.endswith(base64.b64encode(path.read_bytes()).decode())
    assert album.images[content].uri.endswith(base64.b64encode(content).decode())


def test_too_large_images_shrink_together_and_keep_their_shape(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    image("wide", 900).crop((0, 0, 900, 300)).save(path)
    album = embed([Wanted(source=path)], 60_000)
    shrunk = decoded(album.images[path])
    assert album.side_px == max(shrunk.size) < 900
    assert shrunk.width == pytest.approx(3 * shrunk.height, abs=3)
    assert album.size_bytes <= 60_000


def test_the_last_are_left_out_where_nothing_else_helps(tmp_path: Path) -> None:
    paths = [png(tmp_path, f"p{index}", 200) for index in range(10)]
    album = embed([Wanted(source=path) for path in paths], 30_000)
    assert 0 < len(album.images) < 10
    assert list(album.images) == paths[: len(album.images)]
    assert album.left_out == 10 - len(album.images)
    assert album.size_bytes <= 30_000


def test_a_image_shown_twice_takes_its_bytes_twice(tmp_path: Path) -> None:
    path = png(tmp_path, "sample")
    once = embed([Wanted(source=path)], 1_000_000).size_bytes
    assert embed([Wanted(source=path, uses=2)], 1_000_000).size_bytes == 2 * once


def test_shrunk_animation_still_moves_at_its_pace(tmp_path: Path) -> None:
    path = gif(tmp_path, "evolution", frames=5, size_px=300)
    album = embed([Wanted(source=path, moving=True)], 200_000)
    image = decoded(album.images[path])
    assert image.n_frames == 5
    assert max(image.size) < 300
    image.load()
    assert image.info["duration"] == 80


def test_what_a_model_made_stays_marked_when_it_shrinks(tmp_path: Path) -> None:
    drawn, moving, photo = (tmp_path / name for name in ("drawn.png", "moving.gif", "photo.png"))
    drawn.write_bytes(marked_png(image("drawn", 400)))
    moving.write_bytes(marked_gif([image(f"frame {at}", 300) for at in range(3)], [80] * 3))
    image("photo", 400).save(photo)
    wanted = [Wanted(source=drawn), Wanted(source=moving, moving=True), Wanted(source=photo)]

    album = embed(wanted, 100_000)

    assert album.side_px is not None
    strip = album.images[moving].strip
    assert strip is not None
    for embedded in (album.images[drawn], album.images[moving], strip):
        shown = decoded(embedded)
        assert shown.format == "WEBP"
        assert TRAINED_ALGORITHMIC_MEDIA in shown.info["xmp"].decode()
    assert "xmp" not in decoded(album.images[photo]).info


def test_strip_shows_each_frame_once_of_a_loop_that_runs_back(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / "loop.gif"
    frames[0].save(path, save_all=True, append_images=[frames[1], frames[2], frames[1]], loop=0)
    album = embed([Wanted(source=path, moving=True)], 1_000_000)
    strip = album.images[path].strip
    assert strip is not None
    image = decoded(strip).convert("RGB")
    assert image.size == (3 * 20 + 2 * 4, 20)
    for index, colour in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255))):
        seen = image.getpixel((10 + 24 * index, 10))
        assert all(abs(a - b) < 24 for a, b in zip(seen, colour, strict=True))


def test_strip_of_frames_that_are_rows_goes_downwards(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (80, 20), colour) for colour in ("red", "lime")]
    path = tmp_path / "rows.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], loop=0)
    strip = embed([Wanted(source=path, moving=True)], 1_000_000).images[path].strip
    assert strip is not None
    assert decoded(strip).size == (80, 20 + 4 + 20)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "sample.png"
    page.write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    with pytest.raises(StorageError, match=r"sample\.png"):
        embed([Wanted(source=page)], 1_000_000)
    with pytest.raises(StorageError, match="9 bytes"):
        embed([Wanted(source=b"no JPEG.."[:9])], 1_000_000)
