"""The table of all assets in README, made from the stages.

Usage: python -m tools.assets_table README.md
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from styledag.graph.stage import Stage
from styledag.graph.stages import read_stages

BEGIN, END = "<!-- assets -->\n", "<!-- end of assets -->\n"


def assets_table(stages: Iterable[Stage]) -> str:
    """Return a row for each asset: its name, what one partition is, what one materialisation is."""
    rows = [
        f"| `{stage.name}` | {stage.grain} | {stage.description.splitlines()[0].rstrip('.')} |"
        for stage in stages
    ]
    head = ["| asset | one for each | one materialisation is |", "| --- | --- | --- |"]
    return "\n".join([*head, *rows]) + "\n"


def with_table(text: str) -> str:
    """Return a document with the table between its two marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + assets_table(read_stages()) + END + after


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
