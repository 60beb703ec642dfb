"""What is wrong in a style file: a sentence a mistake, with its line, key and remedy."""

import dataclasses
import difflib
import json
import re
import types
import typing
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from styledag.collect.settings import NearImage
from styledag.style.model import RECIPE_NAME, Style
from styledag.style.yaml_lines import NUMBER, Location, Written, line_of

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "tuple": "a list",
    "list": "a list",
    "dataclass": "keys and values",
    "model": "keys and values",
    "dict": "keys and values",
}
_LIMITS = {
    "greater_than_equal": ("ge", "must be at least {}"),
    "greater_than": ("gt", "must be above {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "less_than": ("lt", "must be below {}"),
    "multiple_of": ("multiple_of", "must be a multiple of {}"),
    "too_short": ("min_length", "must have at least {} entry"),
    "string_too_short": ("min_length", "must have at least {} letter"),
}
PATTERNS = {
    RECIPE_NAME: "a recipe's name has small letters, digits and _, and begins with a letter",
    r"^#[0-9a-fA-F]{6}$": 'must be a colour such as "#ffffff", in quotes',
    r"^https?://": "must begin with https:// or http://",
    r"\{caption\}": "must contain {caption}",
    r"\.safetensors$": "must end in .safetensors",
    r"^([01]\.\d\d|ema-0\.\d{3}|[a-z][a-z0-9_]*)$": 'must be a weight such as "0.50", or the name '
    "of another blend",
    r"^[a-z]{2,3}$": "must be a language's code, such as en",
    r"^[A-Za-z0-9_]+$": "must be a word of letters, digits and _, such as fp16",
    r"^(https?://\S+)?$": "must be an address that begins with https:// or http://",
}
"""What a pattern of a setting asks for, in words."""


def mistakes_of(exc: ValidationError, path: Path, written: Written) -> list[str]:
    """Return a sentence for each mistake that pydantic found in a style file, by line."""
    errors = exc.errors(include_url=False)
    parents = {error["loc"][:end] for error in errors for end in range(len(error["loc"]))}
    # A list whose items are wrong is also called too short; the items' own errors say it better.
    own = [error for error in errors if error["type"] != "too_short" or error["loc"] not in parents]
    # Of a value that may be a text or a mapping, what it is decides which of the two it meant.
    texts = {error["loc"][:-1] for error in own if error["loc"][-1:] == ("str",)}
    own = [error for error in own if not _is_other_kind(error, texts)]
    return [text for _, text in sorted(_mistake(error, path, written) for error in own)]


def _is_other_kind(error: ErrorDetails, texts: Set[Location]) -> bool:
    location, is_mapping = error["loc"], isinstance(error["input"], dict)
    if location[-1:] == ("str",):
        return is_mapping
    return location[:-1] in texts and error["type"].startswith("dataclass") and not is_mapping


def _mistake(error: ErrorDetails, path: Path, written: Written) -> tuple[int, str]:
    location = _in_file(_untagged(error), written)
    line = line_of(location, written.lines)
    key = ".".join(str(part) for part in location)
    text = _explanation(error, location, written.numbers.get(location))
    return line, f"{path}:{line}: {key}: {text}"


def _untagged(error: ErrorDetails) -> Location:
    """Return an error's location without the last part where that names one kind of a union."""
    location, found = error["loc"], error["input"]
    tags = ["str", NearImage.__name__]
    if isinstance(found, dict):
        tags.append(found.get("type", ""))
    may_be_tag = error["type"] in ("value_error", "string_type") and bool(location)
    return location[:-1] if may_be_tag and location[-1] in tags else location


def _in_file(location: Location, written: Written) -> Location:
    """Return an error's location without the union tags that pydantic puts between keys."""
    kept: Location = ()
    for index, part in enumerate(location):
        is_last = index == len(location) - 1
        if part == "[key]":
            continue
        if (*kept, part) in written.lines or is_last or isinstance(part, int):
            kept = (*kept, part)
    return kept


def _explanation(error: ErrorDetails, location: Location, number: str | None) -> str:
    """Return what is wrong, what was found, and what to do.

    Args:
        error: What pydantic found.
        location: Where, in the file.
        number: The value as it is written, if it is a number or a boolean there.
    """
    kind = error["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key{_meant(str(location[-1]), error['loc'])}"
    if kind in ("missing", "missing_argument"):
        return "this key is required, but missing"
    if kind == "union_tag_not_found":
        return "this key is required, but missing: type"
    if kind == "union_tag_invalid":
        tag = str(error["ctx"]["tag"])
        tags = str(error["ctx"]["expected_tags"]).replace("'", "").split(", ")
        return f"unknown type {tag!r}{_nearest(tag, tags)}"
    return _wrong_value(error, number)


def _wrong_value(error: ErrorDetails, number: str | None) -> str:
    kind, found = error["type"], error["input"]
    message = error["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'", message)
        return f"found {_shown(found)}{_nearest(str(found), options)}"
    if found is None:
        return "nothing is written there: give it a value, or leave the key out; # begins a comment"
    shown = number or _shown(found)
    expected = _EXPECTED.get(kind.partition("_")[0])
    if expected is not None and kind.endswith(("_type", "_parsing", "_from_float")):
        return f"expected {expected}, found {shown}{_remedy(expected, found, shown, error['loc'])}"
    if kind in _LIMITS:
        bound, words = _LIMITS[kind]
        return f"{words.format(error['ctx'][bound])}; found {shown}"
    if kind == "string_pattern_mismatch":
        return f"{PATTERNS[error['ctx']['pattern']]}; found {shown}"
    if not message[:2].isupper():
        message = message[0].lower() + message[1:]
    # What a mapping's keys contradict is named already.
    return message if isinstance(found, dict) else f"{message}; found {shown}"


def _remedy(expected: str, found: Any, shown: str, location: Location) -> str:
    """Return what to write in place of a value of another kind."""
    if expected == "text" and isinstance(found, bool | int | float):
        return f": write '{shown}', in quotes"
    if expected.endswith("number") and isinstance(found, str) and NUMBER.search(found):
        return f": write {found}, without quotes"
    if expected == "a list":
        return ": begin each entry by a dash" if isinstance(found, dict) else f": write [{shown}]"
    if expected != "keys and values":
        return ""
    holder = _holder_of(location)
    if location[-1] in _keys_of(holder):
        # A setting stands where the name of what it belongs to should.
        return f": {location[-1]} belongs under a name, such as {location[-2]}: {{full: {{...}}}}"
    if keys := _keys_of(holder):
        return f"; its keys are {', '.join(sorted(keys))}"
    return ": write a name before each" if isinstance(found, list) else ""


def _meant(key: str, location: Location) -> str:
    """Return where an unknown key belongs, or which key is meant."""
    beside = _keys_of(_holder_of(location[:-1]))
    for cutoff in (0.8, 0.5):
        if near := difflib.get_close_matches(key, beside, n=1, cutoff=cutoff):
            return f"; did you mean {near[0]!r}?"
        places = sorted({place for name, place in _places(Style, "") if name == key}, key=len)
        if places and cutoff > 0.5:
            return f" here; it belongs under {' or '.join(places[:2])}"
    return _nearest(key, beside)


def _nearest(found: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(found, valid, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; valid are {', '.join(sorted(valid))}"


def _shown(value: Any) -> str:
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _holder_of(location: Location) -> Any:
    """Return the type that the style file has at a location of pydantic's."""
    holder: Any = Style
    for part in location:
        holder = _given(_inner(_given(holder), part))
    return holder


def _places(holder: Any, where: str) -> Iterator[tuple[str, str]]:
    """Yield each key of a type and of the settings below it, with the path of what has it."""
    hints = typing.get_type_hints(holder) if _keys_of(holder) else {}
    for key in _keys_of(holder):
        if where:
            yield key, where
        yield from _places(hints[key], f"{where}.{key}" if where else key)
    origin, args = typing.get_origin(holder), typing.get_args(holder)
    if origin is dict:
        yield from _places(args[1], f"{where}.NAME")
    elif origin is tuple:
        yield from _places(args[0], f"{where}.N")
    elif origin in (types.UnionType, typing.Union):
        for arg in args:
            yield from _places(arg, where)


def _given(holder: Any) -> Any:
    """Return the type of a setting that may be left out as ``None``; any other as it is."""
    args = [each for each in typing.get_args(holder) if each is not types.NoneType]
    is_union = typing.get_origin(holder) in (types.UnionType, typing.Union)
    return args[0] if is_union and len(args) == 1 else holder


def _keys_of(holder: Any) -> list[str]:
    if isinstance(holder, type) and issubclass(holder, BaseModel):
        return list(holder.model_fields)
    if isinstance(holder, type) and dataclasses.is_dataclass(holder):
        return [each.name for each in dataclasses.fields(holder)]
    return []


def _inner(holder: Any, part: str | int) -> Any:
    """Return the type that a settings type holds under a key, an index or a union's tag."""
    if isinstance(holder, type) and _keys_of(holder):
        return typing.get_type_hints(holder).get(str(part))
    origin, args = typing.get_origin(holder), typing.get_args(holder)
    if origin is tuple:
        return args[0]
    if origin is dict:
        return args[1]
    if origin in (types.UnionType, typing.Union):
        return next(
            (arg for arg in args if part in (_name(arg), *typing.get_args(_type_hint(arg)))), None
        )
    return holder


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else ""


def _type_hint(source: Any) -> Any:
    return typing.get_type_hints(source).get("type") if dataclasses.is_dataclass(source) else None
