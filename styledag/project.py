"""The project: the folder that holds the style files, the models and the store."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from styledag.errors import StyledagError, StyleFileError
from styledag.style.load import SUFFIX, check_style_name, load_style, style_paths
from styledag.style.model import Style

MARK = "dagster.yaml"
_WORKSPACE = "workspace.yaml"
_FILES = {MARK: MARK, _WORKSPACE: _WORKSPACE, "gitignore": "data/.gitignore"}
"""What a new project begins with: files of the package, and their names in the project."""


@dataclass(frozen=True)
class Project:
    """Where things are.

    Attributes:
        root: Folder with ``dagster.yaml`` and ``data/``.
        store_url: Folder or fsspec URL of the artifact store.
        declared_in: Files by style, where these are not those of ``data/styles``.
    """

    root: Path
    store_url: str
    declared_in: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def at(cls, root: Path, store_url: str | None = None) -> "Project":
        """Return the project in a folder.

        Args:
            root: The folder.
            store_url: Its store: a URL, or a folder relative to ``root``; ``data/store`` if left
                out.
        """
        store = store_url or "data/store"
        return cls(root, store if "://" in store else str(root / store))

    @classmethod
    def find(cls, start: Path, store_url: str | None = None) -> "Project":
        """Return the project that a folder lies in.

        Raises:
            StyledagError: If neither the folder nor any above it has a ``dagster.yaml``.
        """
        for folder in (start, *start.parents):
            if (folder / MARK).is_file():
                return cls.at(folder, store_url)
        raise StyledagError(
            f"{start} lies in no styledag project: change into a folder that has a {MARK}, or "
            "make one here with `styledag init`"
        )

    @classmethod
    def create(cls, root: Path) -> "Project":
        """Make a folder a project without styles, and return that; other files in it stay.

        Raises:
            StyledagError: If it is a project already, or one of its files is there or cannot be
                written.
        """
        there = [name for name in _FILES.values() if os.path.lexists(root / name)]
        if there:
            raise StyledagError(
                f"{root} has a {there[0]} already: it is a project, or belongs to something else; "
                "name another folder"
            )
        project = cls.at(root)
        try:
            project.styles_folder.mkdir(parents=True, exist_ok=True)
            for file, name in _FILES.items():
                content = (resources.files("styledag") / "project_files" / file).read_bytes()
                (root / name).write_bytes(content)
        except OSError as exc:
            raise StyledagError(f"{root} cannot become a project: {exc.strerror}") from exc
        return project

    @property
    def workspace(self) -> Path:
        """File that names the project's code location to Dagster.

        Raises:
            StyledagError: If it is missing.
        """
        path = self.root / _WORKSPACE
        if not path.is_file():
            raise StyledagError(
                f"{path} is missing: `styledag init FOLDER` writes one into a new folder; copy it "
                "from there"
            )
        return path

    @property
    def styles_folder(self) -> Path:
        """Folder of the style files."""
        return self.root / "data" / "styles"

    @property
    def starter(self) -> Path:
        """Folder of the starter's models, which only a clone of styledag's repository has."""
        return self.root / "data" / "starter"

    @property
    def style_paths(self) -> Mapping[str, Path]:
        """Files of the styles by name, sorted, as they are there now."""
        return self.declared_in or style_paths(self.styles_folder)

    def style(self, name: str) -> Style:
        """Return a style by its name.

        Raises:
            StyleFileError: If there is no such file, or it says something that cannot be meant.
        """
        path = self._path(name)
        if path is None:
            raise StyleFileError(self._no_style(name))
        return load_style(path)

    def _no_style(self, name: str) -> str:
        """Return that there is no such style, what there is, and what to do."""
        styles = list(self.style_paths)
        there = f"there is no style {name!r} in {self.styles_folder} (there: "
        there += f"{', '.join(styles) or 'none'})"
        if (self.styles_folder / f"{name}.yml").is_file():
            return f"{there}; rename {name}.yml to {name}{SUFFIX}"
        # A model's name, or a style file's.
        meant = [each for each in (name.partition(".")[0], Path(name).stem) if each in styles]
        if near := meant or difflib.get_close_matches(name, styles, n=1):
            return f"{there}; did you mean {near[0]!r}?"
        try:
            check_style_name(name)
        except StyleFileError as exc:
            return f"{there}; {exc}"
        return f"{there}; `styledag new {name}` writes one"

    def _path(self, name: str) -> Path | None:
        """Return the file of one style without looking for those of others."""
        if self.declared_in:
            return self.declared_in.get(name)
        path = self.styles_folder / f"{name}{SUFFIX}"
        return path if path.parent == self.styles_folder and os.path.lexists(path) else None
