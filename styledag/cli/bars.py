"""Progress as bars on a terminal, and as lines now and then where there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from styledag.progress import Advance, LineProgress, Progress, shown_time

_SHOWN_EVERY_S = 0.05
"""An item that costs microseconds should not cost as much again to show."""


class BarsProgress:
    """Shows every task as a bar that vanishes when it is done.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def task(self, description: str, total: int | None, *, done: int = 0) -> Iterator[Advance]:
        """Show one task while it runs, and print how long it took."""
        started_at = time.monotonic()
        finished = not_shown = 0
        shown_at = started_at
        bars = RichProgress(
            TextColumn("  {task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            transient=True,
        )
        with bars:
            bar = bars.add_task(description, total=total, completed=done, figures="")

            def advance(done: int = 1, /, **figures: float) -> None:
                nonlocal finished, not_shown, shown_at
                finished += done
                not_shown += done
                now = time.monotonic()
                if figures or now >= shown_at + _SHOWN_EVERY_S:
                    shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
                    bars.update(bar, advance=not_shown, figures=shown)
                    not_shown, shown_at = 0, now

            yield advance
        if finished:
            took = shown_time(time.monotonic() - started_at)
            self._console.print(f"  [dim]{escape(description)}: {finished} in {took}[/dim]")


def shown_progress(console: Console, subject: str = "") -> Progress:
    """Return progress as bars on a terminal, else as lines, which a log or a pipe can keep.

    Args:
        console: Where to.
        subject: What the lines name, such as ``ema_unet twemoji.full``; may be empty.
    """
    if console.is_interactive:
        return BarsProgress(console)
    return LineProgress(lambda line: console.print(f"  {escape(line)}"), subject)
