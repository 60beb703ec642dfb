from pathlib import Path

from benchmarks.merging import measure
from benchmarks.speed.fake import Architecture

TINY = Architecture((32, 32, 64, 64), (8, 8, 8, 8), 8, 16, 1, 1, 64)


def test_a_blend_is_measured_beside_a_copy_and_the_plain_way(tmp_path: Path) -> None:
    figures = measure(tmp_path, TINY, 1, None)
    assert figures["size, MB"] > 1
    for way in ("copy", "load, lerp, save"):
        assert figures[f"ours is so many times as fast as {way}"] > 0
    assert figures["peak above the start, MB"] > 0
    assert "mergekit, s" not in figures
