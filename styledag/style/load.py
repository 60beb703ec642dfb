"""Reads a style file; refuses it with the file, the line, the key and the nearest valid one."""

import dataclasses
import difflib
import json
import re
import types
import typing
from collections.abc import Mapping, Set
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from styledag.collect.settings import NearImage
from styledag.errors import StyleFileError
from styledag.style.freshness import check_cron
from styledag.style.model import STYLE_NAME, Style
from styledag.style.yaml_lines import Location, line_of, parse_yaml, read_text

SUFFIX = ".yaml"
_REFRESH = re.compile(r"^refresh:(.+)$", re.MULTILINE)
_IN_COMPONENT = ("attributes", "style")
"""Where the ``defs.yaml`` of a Dagster component has its style."""


def load_style(path: Path) -> Style:
    """Return the style that a file declares.

    Raises:
        StyleFileError: Naming every mistake in the file, each on its own line.
    """
    if not re.search(STYLE_NAME, path.stem):
        raise StyleFileError(
            f"{path}: the file's name is the style's name and must match {STYLE_NAME}: rename it"
        )
    return _parsed(read_text(path), path)


@lru_cache(maxsize=1024)
def _parsed(text: str, path: Path) -> Style:
    """Return the style that a file's text declares, parsed once."""
    content, lines = _located(text, path)
    if not isinstance(content, Mapping):
        raise StyleFileError(f"{path}:1: expected keys and values, found {_shown(content)}")
    try:
        return Style.model_validate_json(json.dumps(content, default=str))
    except ValidationError as exc:
        raise StyleFileError("\n".join(_mistakes(exc, path, lines))) from exc


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
    return _located(read_text(path), path)[1]


def _located(text: str, path: Path) -> tuple[Any, Mapping[Location, int]]:
    """Return a style's content and lines, of its own file or of a component's ``defs.yaml``."""
    content, lines = parse_yaml(text, path)
    if _IN_COMPONENT not in lines:
        return content, lines
    depth = len(_IN_COMPONENT)
    own = {where[depth:]: line for where, line in lines.items() if where[:depth] == _IN_COMPONENT}
    return content["attributes"]["style"], own


def style_paths(folder: Path) -> dict[str, Path]:
    """Return the style files of a folder by the style's name, sorted."""
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def _mistakes(exc: ValidationError, path: Path, lines: Mapping[Location, int]) -> list[str]:
    errors = exc.errors(include_url=False)
    parents = {error["loc"][:end] for error in errors for end in range(len(error["loc"]))}
    # A list whose items are wrong is also called too short; the items' own errors say it better.
    own = [error for error in errors if error["type"] != "too_short" or error["loc"] not in parents]
    # Of a value that may be a text or a mapping, what it is decides which of the two it meant.
    texts = {error["loc"][:-1] for error in own if error["loc"][-1:] == ("str",)}
    own = [error for error in own if not _is_other_kind(error, texts)]
    return [text for _, text in sorted(_mistake(error, path, lines) for error in own)]


def _is_other_kind(error: ErrorDetails, texts: Set[Location]) -> bool:
    location, is_mapping = error["loc"], isinstance(error["input"], dict)
    if location[-1:] == ("str",):
        return is_mapping
    return location[:-1] in texts and error["type"].startswith("dataclass") and not is_mapping


def _mistake(error: ErrorDetails, path: Path, lines: Mapping[Location, int]) -> tuple[int, str]:
    location = _in_file(_untagged(error), lines)
    line = line_of(location, lines)
    key = ".".join(str(part) for part in location)
    return line, f"{path}:{line}: {key}: {_explanation(error, location)}"


def _untagged(error: ErrorDetails) -> Location:
    """Return an error's location without the last part where that names one kind of a union."""
    location, found = error["loc"], error["input"]
    tags = ["str", NearImage.__name__]
    if isinstance(found, dict):
        tags.append(found.get("type", ""))
    may_be_tag = error["type"] in ("value_error", "string_type") and bool(location)
    return location[:-1] if may_be_tag and location[-1] in tags else location


def _in_file(location: Location, lines: Mapping[Location, int]) -> Location:
    """Return an error's location without the union tags that pydantic puts between keys."""
    kept: Location = ()
    for index, part in enumerate(location):
        is_last = index == len(location) - 1
        if part == "[key]":
            continue
        if (*kept, part) in lines or is_last or isinstance(part, int):
            kept = (*kept, part)
    return kept


def _explanation(error: ErrorDetails, location: Location) -> str:
    kind = error["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key{_nearest(str(location[-1]), _keys_beside(error['loc']))}"
    if kind in ("missing", "missing_argument"):
        return "this key is required, but missing"
    if kind == "union_tag_invalid":
        expected = str(error["ctx"]["expected_tags"]).replace("'", "")
        found = str(error["ctx"]["tag"])
        return f"unknown type {found!r}{_nearest(found, expected.split(', '))}"
    if kind == "union_tag_not_found":
        return "this key is required, but missing: type"
    message = error["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'", message)
        return f"found {_shown(error['input'])}{_nearest(str(error['input']), options)}"
    if not message[:2].isupper():
        message = message[0].lower() + message[1:]
    return f"{message}; found {_shown(error['input'])}"


def _nearest(found: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(found, valid, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; valid are {', '.join(sorted(valid))}"


def _shown(value: Any) -> str:
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _keys_beside(location: Location) -> list[str]:
    """Return the valid keys of the settings in which pydantic found an unknown one."""
    holder: Any = Style
    for part in location[:-1]:
        holder = _given(_inner(holder, part))
    return _field_names(holder)


def _given(holder: Any) -> Any:
    """Return the type of a setting that may be left out as ``None``; any other as it is."""
    args = [each for each in typing.get_args(holder) if each is not types.NoneType]
    is_union = typing.get_origin(holder) in (types.UnionType, typing.Union)
    return args[0] if is_union and len(args) == 1 else holder


def _field_names(holder: Any) -> list[str]:
    if isinstance(holder, type) and issubclass(holder, BaseModel):
        return list(holder.model_fields)
    if dataclasses.is_dataclass(holder):
        return [each.name for each in dataclasses.fields(holder)]
    return []


def _inner(holder: Any, part: str | int) -> Any:
    """Return the type that a settings type holds under a key, an index or a union's tag."""
    if isinstance(holder, type) and _field_names(holder):
        return typing.get_type_hints(holder)[str(part)]
    origin, args = typing.get_origin(holder), typing.get_args(holder)
    if origin is tuple:
        return args[0]
    if origin is dict:
        return args[1]
    if origin in (types.UnionType, typing.Union):
        return next(arg for arg in args if part in (_name(arg), *typing.get_args(_type_hint(arg))))
    return holder


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else ""


def _type_hint(source: Any) -> Any:
    return typing.get_type_hints(source).get("type") if dataclasses.is_dataclass(source) else None
