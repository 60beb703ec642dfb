"""YAML read with the line of every key, and without YAML 1.1's surprises."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from styledag.errors import StyleFileError

Location = tuple[str | int, ...]

_INT = r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
_FLOAT = (
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
NUMBER = re.compile(rf"^(?:{_INT}|{_FLOAT})$")
"""What is a number where no quotes stand around it."""

_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ODD_BLANK = re.compile(r"^[ \t]*([\u00a0\u2000-\u200b\u202f\u3000])", re.MULTILINE)
_NEEDS_QUOTES = re.compile(r"(?:^|[:,\[{-])\s*([@`%*&])")
_UNCLOSED = (
    "look for a bracket or quote that is not closed, for keys of one level that begin in different "
    "columns, and for a # that begins a comment because no quotes are around it"
)
_HINTS = {
    "mapping values are not allowed": "put text that contains ': ' in quotes, and begin the keys "
    "of one level in one column",
    "another document": "a style file is one document: take out the line ---",
    "undefined alias": "put text that begins with * in quotes",
    "constructor for the tag": "put text that begins with ! in quotes",
}


class _Constructor(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The types of YAML 1.2's core schema, and ``<<``.

    So there are no dates, no ``yes`` and ``no`` as booleans, no ``1:30`` as a number, ``010`` is
    ten, and ``1e-4`` is a number.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the class above declares it

    def whole_number(self, node: yaml.ScalarNode) -> int:
        """Return an integer; a leading zero means nothing."""
        text = str(node.value)
        try:
            return int(text, 0 if text[:2] in ("0o", "0x") else 10)
        except ValueError as exc:  # Python's own limit of digits
            raise yaml.constructor.ConstructorError(
                None, None, f"a number of {len(text)} digits", node.start_mark
            ) from exc

    def number(self, node: yaml.ScalarNode) -> float:
        """Return a floating-point number."""
        return float(str(node.value).lower().replace(".inf", "inf").replace(".nan", "nan"))


for _tag, _pattern, _first in (
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("merge", "<<", ["<"]),
):
    _Constructor.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )
_Constructor.add_constructor("tag:yaml.org,2002:int", _Constructor.whole_number)
_Constructor.add_constructor("tag:yaml.org,2002:float", _Constructor.number)


@dataclass(frozen=True)
class Written:
    """What a file contains, as it is written there.

    Attributes:
        lines: Line, from 1, of every value by its location.
        numbers: Text of every number and boolean by its location.
    """

    lines: Mapping[Location, int]
    numbers: Mapping[Location, str]

    def below(self, top: Location) -> "Written":
        """Return what is written below a location, by the location there."""
        lines = {at[len(top) :]: line for at, line in self.lines.items() if at[: len(top)] == top}
        numbers = {
            at[len(top) :]: text for at, text in self.numbers.items() if at[: len(top)] == top
        }
        return Written(lines, numbers)


def read_text(path: Path) -> str:
    """Return a file's text, without a byte order mark.

    Raises:
        StyleFileError: If the file cannot be read.
    """
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise StyleFileError(
            f"{path}:{line}: cannot be read: byte 0x{content[exc.start]:02X} is not UTF-8; save "
            "the file as UTF-8"
        ) from exc
    except OSError as exc:
        raise StyleFileError(f"{path}: cannot be read: {exc.strerror}") from exc


def parse_yaml(text: str, path: Path) -> tuple[Any, Written]:
    """Return the content of a file's text, and how it is written.

    Raises:
        StyleFileError: If the text is no YAML, has nothing in it, or gives one key twice.
    """
    _refuse_characters(text, path)
    loader = _Constructor(text)
    try:
        root = loader.get_single_node()
        if root is None:
            raise StyleFileError(
                f"{path}:1: nothing is written in this file: `styledag new NAME` writes one to edit"
            )
        lines: dict[Location, int] = {(): 1}
        numbers: dict[Location, str] = {}
        _note(root, (), lines, numbers, path)
        return loader.construct_document(root), Written(lines, numbers)
    except yaml.MarkedYAMLError as exc:
        raise StyleFileError(_no_yaml(exc, text, path)) from exc
    except RecursionError as exc:
        raise StyleFileError(
            f"{path}:1: this is no YAML: it is nested too deeply, or an alias contains itself"
        ) from exc
    finally:
        loader.dispose()


def line_of(location: Location, lines: Mapping[Location, int]) -> int:
    """Return the line of a location, or of the nearest one around it that the file contains."""
    return next(
        lines[location[:end]] for end in range(len(location), -1, -1) if location[:end] in lines
    )


def _refuse_characters(text: str, path: Path) -> None:
    for pattern, group, remedy in (
        (_UNREADABLE, 0, "is not allowed: take it out"),
        (_ODD_BLANK, 1, "is no plain blank, as copied pages have them: indent by plain blanks"),
    ):
        if found := pattern.search(text):
            line = text.count("\n", 0, found.start(group)) + 1
            raise StyleFileError(
                f"{path}:{line}: this is no YAML: character U+{ord(found[group]):04X} {remedy}"
            )


def _no_yaml(exc: yaml.MarkedYAMLError, text: str, path: Path) -> str:
    mark = exc.problem_mark or exc.context_mark
    if mark is None:
        return f"{path}: this is no YAML: {exc.problem}"
    begun = exc.context_mark
    within = f" in what begins in line {begun.line + 1}" if begun and begun.line < mark.line else ""
    line = next(iter(text.splitlines()[mark.line :]), "")
    return f"{path}:{mark.line + 1}: this is no YAML: {exc.problem}{within}; {_hint(exc, line)}"


def _hint(exc: yaml.MarkedYAMLError, line: str) -> str:
    """Return what to do about a line that is no YAML."""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab stands there: indent by blanks"
    for problem, hint in _HINTS.items():
        if problem in str(exc.problem):
            return hint
    if found := _NEEDS_QUOTES.search(line):
        return f"put text that begins with {found[1]} in quotes"
    return _UNCLOSED


def _note(
    node: yaml.Node,
    location: Location,
    lines: dict[Location, int],
    numbers: dict[Location, str],
    path: Path,
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
            _note(value_node, (*location, key), lines, numbers, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*location, index)] = item.start_mark.line + 1
            _note(item, (*location, index), lines, numbers, path)
    elif node.tag.rpartition(":")[2] in ("int", "float", "bool"):
        numbers[location] = str(node.value)
