from pathlib import Path

from benchmarks.dataset import measure


def test_a_build_is_measured_beside_a_copy(tmp_path: Path) -> None:
    figures = measure(tmp_path, 40, 2_000, 1)
    assert figures["images"] == 40
    assert figures["ratio"] > 0
    assert figures["allocated at most, MB"] > 0.04
