import io
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from styledag.errors import StyledagError
from styledag.sampling.gif import labelled_frame, marked_gif, there_and_back
from styledag.sampling.marking import mark_gif
from styledag_tests.sampling.test_marking import RDF, SOURCE_TYPE, TRAINED

MAGIC_TRAILER = bytes([1, *range(255, -1, -1), 0])


def application_extensions(gif: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Identifier, start and end of the data of each, by GIF 89a's grammar (its appendix B).

    A reader that knows nothing of XMP goes from sub-block to sub-block by their lengths.
    """

    def after_sub_blocks(at: int) -> int:
        while gif[at]:
            at += 1 + gif[at]
        return at + 1

    def after_table(at: int, packed: int) -> int:
        return at + (3 * 2 ** ((packed & 7) + 1) if packed & 128 else 0)

    at = after_table(13, gif[10])
    while gif[at] != 0x3B:
        if gif[at] == 0x2C:
            at = after_sub_blocks(after_table(at + 10, gif[at + 9]) + 1)
            continue
        assert gif[at] == 0x21
        label, start = gif[at + 1], at + 2
        at = after_sub_blocks(start)
        if label == 0xFF:
            assert gif[start] == 11
            yield gif[start + 1 : start + 12], start + 12, at
    assert at == len(gif) - 1


def frames(count: int = 3) -> list[Image.Image]:
    return [Image.linear_gradient("L").rotate(90 * turn).convert("RGB") for turn in range(count)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_gif_states_that_a_model_made_it(count: int) -> None:
    gif = marked_gif(frames(count), [40] * count)

    by_name = {name: gif[start:end] for name, start, end in application_extensions(gif)}

    assert list(by_name) == [b"NETSCAPE2.0", b"XMP DataXMP"]
    packet = by_name[b"XMP DataXMP"]
    assert packet.endswith(MAGIC_TRAILER)
    xmp = packet.removesuffix(MAGIC_TRAILER).decode("utf-8")
    description = ElementTree.fromstring(xmp).find(f".//{RDF}Description")
    assert description is not None
    assert description.attrib[SOURCE_TYPE] == TRAINED


def test_the_mark_leaves_frames_durations_and_the_loop_alone() -> None:
    durations = [40, 80, 1600]
    with Image.open(io.BytesIO(marked_gif(frames(), durations))) as image:
        assert image.n_frames == 3
        assert image.info["loop"] == 0
        for place, duration in enumerate(durations):
            image.seek(place)
            image.load()
            assert image.info["duration"] == duration


@pytest.mark.parametrize("content", [b"", b"GIF87a" + bytes(20), b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_what_has_no_room_for_a_mark_is_refused(content: bytes) -> None:
    with pytest.raises(StyledagError, match="no GIF 89a"):
        mark_gif(content)


def test_a_loop_returns_the_way_it_came_without_a_jump() -> None:
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 80, 160, 240)]
    loop, durations = there_and_back(frames, frame_ms=400)
    assert [frame.getpixel((0, 0)) for frame in loop] == [
        (level, 0, 0) for level in (0, 80, 160, 240, 160, 80)
    ]
    assert durations == [400, 400, 400, 1600, 200, 200]


def test_a_single_frame_is_its_own_loop() -> None:
    frame = Image.new("RGB", (8, 8))
    assert there_and_back([frame], frame_ms=400) == ([frame], [1600])


def test_many_wide_frames_side_by_side_are_reduced_to_the_limit() -> None:
    frame = labelled_frame([Image.new("RGB", (512, 512))] * 4, "epoch 3")
    assert frame.width == 1280


def test_the_label_of_many_frames_side_by_side_is_as_large_as_that_of_one() -> None:
    cells = [Image.new("RGB", (512, 512), "#204060")] * 12
    many, one = labelled_frame(cells, "epoch 12"), labelled_frame(cells[:1], "epoch 12")
    small = labelled_frame([Image.new("RGB", (192, 192), "#204060")], "epoch 12")
    assert ink_height(one) > ink_height(many) == ink_height(small)


def ink_height(frame: Image.Image) -> int:
    """Return how many rows of pixels a black label takes."""
    dark = np.asarray(frame.convert("L")) < 40
    return int(dark.any(axis=1).sum())
