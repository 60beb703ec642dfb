"""What every command shares: the project, and the terminal to write to."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Column, Table

from styledag.project import Project

if TYPE_CHECKING:
    from styledag.graph.catalogue import Catalogue

UI_PORT = 3000
"""Where `styledag ui` opens the web UI unless it is told otherwise; its pages are on the next."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


_UNBROKEN = 100_000
"""Width of what no terminal shows: a line of a file or a pipe is one row of a table."""


def new_table(*headings: str, **options: Any) -> Table:
    """Return a table without lines, whose last column is broken where the terminal is narrow."""
    columns = [Column(each, no_wrap=True) for each in headings[:-1]]
    return Table(*columns, Column(headings[-1], overflow="fold"), box=None, **options)


def printable(text: str) -> str:
    """Return text that only prints: names and captions from elsewhere may command a terminal."""
    return _CONTROLS.sub(" ", text)


class Terminal(Console):
    """Rich's console, whose text is only printed; styles and bars are its own.

    What is printed to nobody any more (a closed terminal or pipe, a log on a full disk) is lost,
    and nothing else is: a training does not end with its terminal.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Whoever forces colours into a log has no use for bars in it.
        self.is_interactive = self.is_interactive and self.file.isatty()
        if not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = _UNBROKEN

    def _write_buffer(self) -> None:
        try:
            super()._write_buffer()
        except OSError:
            self._buffer.clear()
            self.quiet = True
            # Or Python complains at its end that what is left could not be written.
            with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self.file.fileno())

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of what is printed, without control characters in their text."""
        for segment in super().render(renderable, options):
            if segment.control is None:
                yield Segment(printable(segment.text), segment.style)
            else:
                yield segment


@dataclass
class Session:
    """One call of the command line.

    Attributes:
        folder: The project's folder, as the user named it.
        store_url: The store, as the user named it.
    """

    folder: Path | None
    store_url: str | None
    console: Console = field(default_factory=lambda: Terminal(highlight=False, soft_wrap=True))

    @cached_property
    def project(self) -> Project:
        """The project.

        Raises:
            StyledagError: If there is none here.
        """
        return Project.find((self.folder or Path.cwd()).resolve(), self.store_url)

    @cached_property
    def catalogue(self) -> "Catalogue":
        """The project's stages, styles and artifacts."""
        from styledag.graph.catalogue import Catalogue

        return Catalogue(self.project)

    def shown(self, path: Path) -> str:
        """Return a path as it is printed: within the project, if it lies there."""
        root = self.project.root
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


pass_session = click.make_pass_decorator(Session)
