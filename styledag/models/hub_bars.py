"""How far a download from the Hub is, also where there is no terminal to draw a bar on."""

import sys
from typing import Any

from huggingface_hub.utils import are_progress_bars_disabled, tqdm

from styledag.progress import TaskLines

_WRITTEN = "huggingface_hub.snapshot_download"
"""Name of the bar of the bytes written, beside which others count files and transferred bytes."""
_MB = 10**6


class HubBars(tqdm):  # type: ignore[misc]
    """The Hub's client's own bars; without a terminal, which it draws none on, lines now and then.

    They go to standard error, as the bars do.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        is_written = options.get("name") == _WRITTEN
        super().__init__(*args, **options)
        is_shown = is_written and self.disable and not are_progress_bars_disabled(_WRITTEN)
        self._lines = TaskLines("downloaded MB", None) if is_shown else None

    def update(self, n: float | None = 1) -> bool | None:
        """Count bytes; write a line if one is due."""
        shown: bool | None = super().update(n)
        if self._lines is not None:
            with self.get_lock():
                self.n += n or 0
                self._lines.total = round(self.total / _MB) if self.total else None
                line = self._lines.advance(round(self.n / _MB) - self._lines.finished)
            if line is not None:
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
        return shown
