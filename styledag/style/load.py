"""Reads a style file; refuses it with the file, the line, the key and the nearest valid one."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from styledag.errors import StyleFileError
from styledag.style.freshness import check_cron
from styledag.style.mistakes import mistakes_of
from styledag.style.model import STYLE_NAME, Style
from styledag.style.yaml_lines import Location, Written, parse_yaml, read_text

SUFFIX = ".yaml"
_REFRESH = re.compile(r"^refresh:(.+)$", re.MULTILINE)
_IN_COMPONENT = ("attributes", "style")
"""Where the ``defs.yaml`` of a Dagster component has its style."""


def load_style(path: Path) -> Style:
    """Return the style that a file declares.

    Raises:
        StyleFileError: Naming every mistake in the file, each on its own line.
    """
    try:
        check_style_name(path.stem)
    except StyleFileError as exc:
        raise StyleFileError(f"{path}: rename the file: {exc}") from exc
    return _parsed(read_text(path), path)


def check_style_name(name: str) -> None:
    """Refuse what is no style's name.

    Raises:
        StyleFileError: With what a name has, and one that is near.
    """
    if re.search(STYLE_NAME, name):
        return
    near = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-_0123456789")
    raise StyleFileError(
        f"{name!r} is no style's name: that has at most 63 small letters, digits, - and _, and "
        f"begins with a letter{f', such as {near!r}' if re.search(STYLE_NAME, near) else ''}"
    )


@lru_cache(maxsize=1024)
def _parsed(text: str, path: Path) -> Style:
    """Return the style that a file's text declares, parsed once."""
    content, written = _located(text, path)
    if not isinstance(content, Mapping):
        raise StyleFileError(
            f"{path}:1: this is no style: expected keys and values, such as base, sources, recipes"
        )
    try:
        return Style.model_validate_json(json.dumps(content, default=str))
    except ValidationError as exc:
        raise StyleFileError("\n".join(mistakes_of(exc, path, written))) from exc


def stated_refresh(path: Path) -> str | None:
    """Return the cron string that a style file states, whatever else in the file is wrong.

    Returns:
        The value of ``refresh``; ``None`` if the file has none, or one that is no cron string, or
        its name is no style's.
    """
    try:
        line = _REFRESH.search(read_text(path))
        if line is None or not re.search(STYLE_NAME, path.stem):
            return None
        refresh = yaml.safe_load(line[1])
        check_cron(refresh)
    except (StyleFileError, yaml.YAMLError, ValueError, AttributeError):
        return None
    return str(refresh)


def style_lines(path: Path) -> Mapping[Location, int]:
    """Return the line, from 1, of every value of a style by its location.

    Raises:
        StyleFileError: If the file cannot be read, is no YAML, or gives one key twice.
    """
    return _located(read_text(path), path)[1].lines


def _located(text: str, path: Path) -> tuple[Any, Written]:
    """Return a style's content, of its own file or of a component's ``defs.yaml``."""
    content, written = parse_yaml(text, path)
    if _IN_COMPONENT not in written.lines:
        return content, written
    return content["attributes"]["style"], written.below(_IN_COMPONENT)


def style_paths(folder: Path) -> dict[str, Path]:
    """Return the style files of a folder by the style's name, sorted."""
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}
