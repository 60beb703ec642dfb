from PIL import Image

from styledag.sampling.gif import labelled_frame, there_and_back


def test_a_loop_returns_the_way_it_came_without_a_jump() -> None:
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 80, 160, 240)]
    loop, durations = there_and_back(frames, frame_ms=400, hold_ms=1600)
    assert [frame.getpixel((0, 0)) for frame in loop] == [
        (level, 0, 0) for level in (0, 80, 160, 240, 160, 80)
    ]
    assert durations == [400, 400, 400, 1600, 200, 200]


def test_a_single_frame_is_its_own_loop() -> None:
    frame = Image.new("RGB", (8, 8))
    assert there_and_back([frame], frame_ms=400, hold_ms=900) == ([frame], [900])


def test_many_wide_frames_side_by_side_are_reduced_to_the_limit() -> None:
    frame = labelled_frame([Image.new("RGB", (512, 512))] * 4, "epoch 3")
    assert frame.width == 1280
