import io
import re

from rich.console import Console

from styledag.cli.bars import BarsProgress


def test_a_bar_begins_at_what_was_done_before_and_reports_what_was_done() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=100)
    with BarsProgress(console).task("training", 1000, done=600) as advance:
        advance(10)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "600/1000" in shown
    assert re.search(r"training: 10 in \d+\.\d s", shown)
