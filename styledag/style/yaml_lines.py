"""YAML read with the line of every key, and without YAML's surprises."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from styledag.errors import StyleFileError

Location = tuple[str | int, ...]


class _Constructor(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.2's JSON types only: no dates, no ``yes``/``no`` booleans, no ``1:30`` numbers."""


_Constructor.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Constructor.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf")
)


def read_text(path: Path) -> str:
    """Return a file's text.

    Raises:
        StyleFileError: If the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise StyleFileError(f"{path}: cannot be read: {exc}") from exc


def parse_yaml(text: str, path: Path) -> tuple[Any, dict[Location, int]]:
    """Return the content of a file's text and the line, from 1, of every value by its location.

    Raises:
        StyleFileError: If the text is no YAML, or gives one key twice.
    """
    loader = _Constructor(text)
    try:
        root = loader.get_single_node()
        lines: dict[Location, int] = {(): 1}
        if root is None:
            return {}, lines
        _note_lines(root, (), lines, path)
        return loader.construct_document(root), lines
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise StyleFileError(f"{where}: this is no YAML: {exc.problem}") from exc
    except yaml.YAMLError as exc:
        raise StyleFileError(f"{path}: this is no YAML: {exc}") from exc
    finally:
        loader.dispose()


def line_of(location: Location, lines: Mapping[Location, int]) -> int:
    """Return the line of a location, or of the nearest one around it that the file contains."""
    return next(
        lines[location[:end]] for end in range(len(location), -1, -1) if location[:end] in lines
    )


def _note_lines(
    node: yaml.Node, location: Location, lines: dict[Location, int], path: Path
) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = str(key_node.value)
            if key in seen:
                raise StyleFileError(f"{path}:{line}: key {key!r} is given twice: keep one")
            seen.add(key)
            lines[(*location, key)] = line
            _note_lines(value_node, (*location, key), lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*location, index)] = item.start_mark.line + 1
            _note_lines(item, (*location, index), lines, path)
