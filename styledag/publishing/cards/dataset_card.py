"""State the licences of a dataset's images in its card's front matter, for the Hub."""

from collections.abc import Mapping
from typing import Any

import yaml

from styledag.dataset.markdown import escape_markdown
from styledag.errors import DataError
from styledag.publishing.cards.hub_licences import HUB_LICENCES

LICENCE_FILE = "LICENSE.md"
"""Beside a card whose licence is ``other``; the Hub permits a link to no other name."""

_FENCE = "---\n"


def dataset_card_with_licence(card: str, licences: Mapping[str, int]) -> str:
    """Return a dataset's card whose front matter names the images' licences; the page stays.

    Licences that the Hub knows are listed under its identifiers. If an image has none, or another
    one, the dataset's licence is ``other``: each row of the dataset states its own.

    Raises:
        DataError: If the card has no front matter.
    """
    start, fence, rest = card.partition(_FENCE)
    front, closing, page = rest.partition(f"\n{_FENCE}")
    header = yaml.safe_load(front) if not start and fence and closing else None
    if not isinstance(header, dict):
        raise DataError("the dataset's README.md has no front matter: materialise it again")
    header = {key: value for key, value in header.items() if not key.startswith("license")}
    text = yaml.safe_dump(header | _licence(licences), sort_keys=False, allow_unicode=True)
    return f"{_FENCE}{text}{_FENCE}{page}"


def licence_page(licences: Mapping[str, int]) -> str | None:
    """Return what :data:`LICENCE_FILE` contains; ``None`` if the card names all licences itself."""
    if "license_link" not in _licence(licences):
        return None
    rows = [
        f"| {escape_markdown(name)} | {count} |"
        for name, count in sorted(licences.items(), key=lambda each: (-each[1], each[0]))
    ]
    return "\n".join(
        [
            "# Licences",
            "",
            "Each image keeps the licence of its source, which its row states in the column",
            "`licence`. `unknown` is one that the source does not state.",
            "",
            "| licence | images |",
            "| --- | ---: |",
            *rows,
            "",
        ]
    )


def _licence(licences: Mapping[str, int]) -> dict[str, Any]:
    known = {"-".join(name.casefold().split()) for name in licences}
    if known and known <= HUB_LICENCES - {"unknown"}:
        return {"license": min(known) if len(known) == 1 else sorted(known)}
    return {"license": "other", "license_name": "each-image-its-own", "license_link": LICENCE_FILE}
