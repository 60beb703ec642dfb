"""What every command shares: the project, and the terminal to write to."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import click
from rich.console import Console

from styledag.project import Project

UI_PORT = 3000
"""Where `styledag ui` opens the web UI unless it is told otherwise; its pages are on the next."""


@dataclass
class Session:
    """One call of the command line.

    Attributes:
        folder: The project's folder, as the user named it.
        store_url: The store, as the user named it.
        console: The terminal.
    """

    folder: Path | None
    store_url: str | None
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))

    @cached_property
    def project(self) -> Project:
        """The project.

        Raises:
            StyledagError: If there is none here.
        """
        return Project.find((self.folder or Path.cwd()).resolve(), self.store_url)

    def shown(self, path: Path) -> str:
        """Return a path as it is printed: within the project, if it lies there."""
        root = self.project.root
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


pass_session = click.make_pass_decorator(Session)
