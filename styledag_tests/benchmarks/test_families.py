"""What the documents state of each base is what its configuration gives."""

from pathlib import Path

import pytest

from benchmarks.families import as_markdown, taken_by
from benchmarks.speed.architectures import ARCHITECTURES

ROOT = Path(__file__).parents[2]


def rows(path: str, header: str) -> list[dict[str, str]]:
    """Return the rows of a table by their columns, given how its header begins."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(header))
    names, _, *found = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines[start:]
        if line.startswith("|")
    )
    return [dict(zip(names, cells, strict=True)) for cells in found[: len(ARCHITECTURES)]]


@pytest.mark.slow
def test_the_table_of_bases_is_what_is_computed(tmp_path: Path) -> None:
    table = as_markdown([taken_by(name, tmp_path) for name in ARCHITECTURES])
    assert table in (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_readmes_table_repeats_that_of_the_documents() -> None:
    full = rows("docs/training.md", "| base | size |")
    short = rows("README.md", "| base | licence |")
    for ours, theirs in zip(short, full, strict=True):
        assert ours["base"].startswith(theirs["base"])
        memory = f"{theirs['LoRA'].removesuffix(' GB')} / {theirs['all weights']}"
        assert ours["memory: LoRA / all weights"] == memory
        assert ours["expected on one H100"] == f"{theirs['goal']} images/s"


@pytest.mark.slow
def test_the_smallest_base_takes_what_is_stated(tmp_path: Path) -> None:
    (stated, *_) = rows("docs/training.md", "| base | size |")
    assert tuple(stated.values()) == taken_by("sd15", tmp_path).cells()
