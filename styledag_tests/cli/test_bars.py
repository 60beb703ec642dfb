import io
import re

import pytest
from rich.console import Console

from styledag.cli.bars import shown_progress
from styledag.cli.context import Terminal


def test_a_bar_begins_at_what_was_done_before_and_reports_what_was_done() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=100)
    with shown_progress(console).task("training", 1000, done=600) as advance:
        advance(10)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "600/1000" in shown
    assert re.search(r"training: 10 in \d+\.\d s", shown)


def test_a_log_whose_colours_are_forced_gets_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """As continuous integration does, whose log keeps each redrawn bar."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    log = io.StringIO()
    with shown_progress(Terminal(file=log)).task("training", 10) as advance:
        advance(10)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", log.getvalue())
    assert re.fullmatch(r"  training: 10 in \d\.\d s\n", shown)
