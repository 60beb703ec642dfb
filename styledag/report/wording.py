"""Figures and scraped text, fit to be read."""

import math
import unicodedata
from urllib.parse import urlsplit

MAX_TEXT_CHARS = 400
MAX_URL_CHARS = 2000
SHORT_VERSION_CHARS = 12

_MISSING = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def plain(text: str, max_chars: int = MAX_TEXT_CHARS) -> str:
    """Return text from elsewhere on one line, without controls, cut to a length.

    Control characters and those that turn the direction of writing become spaces. Nothing is
    escaped: that is the template's work.
    """
    shown = text[: 4 * max_chars]
    cleaned = "".join(" " if _is_control(char) else char for char in shown)
    words = " ".join(cleaned.split())
    if len(words) > max_chars or len(text) > len(shown):
        return words[: max_chars - 1].rstrip() + "…"
    return words


def web_address(url: str) -> str | None:
    """Return a URL that may be linked, or ``None``.

    Only http and https with a host, without credentials, spaces or controls.
    """
    if len(url) > MAX_URL_CHARS or any(char.isspace() or _is_control(char) for char in url):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        return None
    return url


def short_version(version: str) -> str:
    """Return the first characters of a version, enough to tell versions apart."""
    return plain(version)[:SHORT_VERSION_CHARS]


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure with so many decimals; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return _MISSING
    shown = f"{value:.{digits}f}"
    return _MINUS + shown[1:] if shown.startswith("-") and float(shown) else shown.lstrip("-")


def percent(share: float | None) -> str:
    """Return a share, 0 to 1, in whole per cent."""
    if share is None or not math.isfinite(share):
        return _MISSING
    return f"{100 * share:.0f}%"


def setting(value: object) -> str:
    """Return a value of the style file as a person would write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(setting(each) for each in value)
    return plain(str(value))


def _is_control(char: str) -> bool:
    return char in _BIDI_CONTROLS or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
