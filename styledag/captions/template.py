"""Templates of captions: fields, and parts that are left out where a field is empty.

What stands for a field is text from strangers: it is inserted once and never read as a template.
"""

import re
from collections.abc import Iterable, Mapping

from styledag.captions.cleaning.articles import joined

CAPTION = "caption"
FIELDS = (CAPTION, "title", "alt", "description", "author", "licence")

_BLANKS = re.compile(" {2,}")
_NAME = re.compile(r"\{([a-z_]+)\}")
_FIELD = rf"\{{(?:{'|'.join(FIELDS)})\}}"
_PIECE = re.compile(rf"\[(?P<part>[^\[\]]*{_FIELD}[^\[\]]*)\]|(?P<field>{_FIELD})")


def check_template(template: str) -> None:
    """Refuse a template that names no caption or an unknown field, or that has several lines.

    Raises:
        ValueError: With the template.
    """
    if f"{{{CAPTION}}}" not in _PIECE.sub(_without_part, template):
        raise ValueError(f"template {template!r} lacks {{caption}} outside of square brackets")
    if template.splitlines() != [template]:
        raise ValueError(
            f"template {template!r} has a line break, which trainers read as the end of a caption: "
            "write it on one line"
        )
    unknown = sorted(set(_NAME.findall(template)) - set(FIELDS))
    if unknown:
        raise ValueError(
            f"template {template!r} names {{{unknown[0]}}}; there are {', '.join(FIELDS)}"
        )


def named_fields(templates: Iterable[str]) -> frozenset[str]:
    """Return the fields that any of some templates names."""
    return frozenset(name for template in templates for name in _NAME.findall(template))


def fill(
    template: str, values: Mapping[str, str], *, optional: bool = True, articles: bool = False
) -> str:
    """Return a template with its fields filled in, on one line.

    Args:
        template: One that :func:`check_template` lets pass.
        values: Text of each field; one that is missing is empty.
        optional: Whether parts in square brackets are filled in at all.
        articles: Whether an article before a field is fitted to the field's text.
    """
    filled = _filled(template, values, optional=optional, articles=articles)
    return _BLANKS.sub(" ", filled).strip(" ")


def _filled(template: str, values: Mapping[str, str], *, optional: bool, articles: bool) -> str:
    filled, at = "", 0
    for piece in _PIECE.finditer(template):
        filled += template[at : piece.start()]
        at = piece.end()
        part = piece["part"]
        if part is None:
            value = values.get(piece["field"][1:-1], "")
            filled = joined(filled, value) if articles else filled + value
        elif optional and all(values.get(name, "") for name in _NAME.findall(part)):
            filled += _filled(part, values, optional=False, articles=articles)
    return filled + template[at:]


def _without_part(piece: re.Match[str]) -> str:
    return piece["field"] or ""
