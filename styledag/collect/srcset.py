"""The largest image that a ``srcset`` attribute offers."""

import re

_DESCRIPTOR = re.compile(r"^(\d+(?:\.\d+)?)([wx])$")
_LAZY_SETS = ("srcset", "data-srcset", "data-lazy-srcset")


def largest(srcset: str) -> str | None:
    """Return the URL of the widest, or else the densest, candidate; ``None`` if there is none.

    Args:
        srcset: As the HTML standard defines it (section 4.8.4.2.1): URLs may contain commas, but
            not begin or end with one.
    """
    best: tuple[bool, float] | None = None
    url_of_best = None
    for url, descriptor in candidates(srcset):
        match = _DESCRIPTOR.match(descriptor or "1x")
        if match is None:
            continue
        size = (match[2] == "w", float(match[1]))
        if best is None or size > best:
            best, url_of_best = size, url
    return url_of_best


def candidates(srcset: str) -> list[tuple[str, str]]:
    """Return each candidate's URL and its descriptor, such as ``640w``, ``2x`` or nothing."""
    found = []
    rest = srcset.lstrip(" \t\r\n\f,")
    while rest:
        url, _, rest = _split_at_space(rest)
        descriptor = ""
        if url.endswith(","):
            url = url.rstrip(",")
        else:
            descriptor, _, rest = rest.partition(",")
        if url:
            found.append((url, descriptor.strip()))
        rest = rest.lstrip(" \t\r\n\f,")
    return found


def offered(attributes: dict[str, str]) -> str | None:
    """Return the largest image of an element's set attributes, lazy-loading ones included."""
    for name in _LAZY_SETS:
        url = largest(attributes.get(name, ""))
        if url is not None and not url.startswith("data:"):
            return url
    return None


def _split_at_space(text: str) -> tuple[str, str, str]:
    parts = text.split(None, 1)
    return parts[0], " ", parts[1] if len(parts) > 1 else ""
