"""The candidates of a ``srcset`` attribute, by the HTML standard's own parser (4.8.4.2.1)."""

import re
from collections.abc import Iterable

_SPACE = " \t\n\f\r"
_URL = re.compile(rf"[{_SPACE},]*([^{_SPACE}]+)")
_INTEGER = re.compile(r"\d+", re.ASCII)
_FLOAT = re.compile(r"-?(?:\d+|\d*\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)

Size = tuple[bool, float]
"""Whether a width is known, and the width in pixels or else the density: what sorts candidates."""


def candidates(srcset: str) -> list[tuple[str, Size]]:
    """Return each candidate's URL and size; one whose descriptors are wrong is left out."""
    found: list[tuple[str, Size]] = []
    at = 0
    while match := _URL.match(srcset, at):
        url, at = match[1], match.end()
        descriptors: list[str] = []
        if url.endswith(","):
            url = url.rstrip(",")
        else:
            descriptors, at = _descriptors(srcset, at)
        size = _size(descriptors)
        if url and size is not None:
            found.append((url, size))
    return found


def largest(offered: Iterable[tuple[str, Size]]) -> str | None:
    """Return the URL of the widest, or else the densest; the first of equals, ``None`` of none."""
    best = max(offered, key=lambda each: each[1], default=None)
    return None if best is None else best[0]


def _descriptors(srcset: str, at: int) -> tuple[list[str], int]:
    """Return the words up to the next comma outside parentheses, and the place after it."""
    words, word, depth = [], "", 0
    while at < len(srcset):
        char = srcset[at]
        at += 1
        if depth == 0 and char == ",":
            break
        if depth == 0 and char in _SPACE:
            words.append(word)
            word = ""
            continue
        word += char
        # Parentheses do not nest: the first closing one ends them.
        depth = 1 if char == "(" else 0 if char == ")" else depth
    return [each for each in (*words, word) if each], at


def _size(descriptors: list[str]) -> Size | None:
    values: dict[str, float] = {}
    for each in descriptors:
        number, kind = each[:-1], each[-1]
        pattern = {"w": _INTEGER, "h": _INTEGER, "x": _FLOAT}.get(kind)
        if pattern is None or kind in values or not pattern.fullmatch(number):
            return None
        values[kind] = float(number)
        if values[kind] < 0 or (kind != "x" and values[kind] == 0):
            return None
    if ("x" in values and len(values) > 1) or ("h" in values and "w" not in values):
        return None
    return (True, values["w"]) if "w" in values else (False, values.get("x", 1.0))
