"""The dataset's card: what is in it, where it comes from, and how something is taken down."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from styledag.captions.records import CaptionedImage
from styledag.dataset.markdown import escape_markdown
from styledag.dataset.split import SPLITS, Split
from styledag.manifest import Manifest

_MOST_LINES = 20
_SAMPLES = 5
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def dataset_card(
    captioned: Manifest[CaptionedImage],
    splits: Mapping[Split, Sequence[CaptionedImage]],
    *,
    title: str,
    description: str,
    captioner: str,
) -> str:
    """Return the README of a dataset folder: a YAML header that the Hub reads, and a page.

    Text of images, pages and captions is escaped.

    Args:
        captioned: All captioned images and those left out.
        splits: The images by the split that they are in.
        title: Heading of the page.
        description: One sentence about the style.
        captioner: What was asked for captions, with its revision; empty if nothing was.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Here, and not at each place of use, so that no place can be forgotten.
        finalize=escape_markdown,
        autoescape=False,
    )
    rows = captioned.rows
    page = environment.get_template("card.md.j2").render(
        title=title,
        description=description,
        splits={split: len(splits[split]) for split in SPLITS if splits[split]},
        images=len(rows),
        families=len({row.image.family for row in rows}),
        sizes=_counted(f"{row.image.width_px}x{row.image.height_px}" for row in rows),
        copies=sum(len(row.image.copies) for row in rows),
        in_families=sum(row.image.family_size > 1 for row in rows),
        places=_counted(_place(row) for row in rows),
        licences=_counted(row.image.origin.licence for row in rows),
        authors=len({row.image.origin.author for row in rows} - {""}),
        captioner=captioner,
        captioner_settings=_counted(row.captioner for row in rows if row.captioner),
        caption_sources=_counted(row.source for row in rows),
        rules=_counted(hit for row in rows for hit in row.rule_hits),
        rules_version=", ".join(sorted({row.rules_version for row in rows})),
        commonest=_counted(row.caption for row in rows)[0],
        rejected=_counted(rejection.reason for rejection in captioned.rejected),
        samples=rows[:_SAMPLES],
    )
    return f"---\n{_header(splits, title)}---\n\n{page}"


def _header(splits: Mapping[Split, Sequence[CaptionedImage]], title: str) -> str:
    count = sum(len(rows) for rows in splits.values())
    header: dict[str, Any] = {
        "pretty_name": title,
        "task_categories": ["text-to-image"],
        "tags": ["styledag"],
        "size_categories": [next((name for most, name in _SIZES if count < most), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"}
                    for split in SPLITS
                    if splits[split]
                ],
            }
        ],
    }
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _counted(values: Iterable[str]) -> list[tuple[str, int]]:
    """Return values and their counts, the commonest first; the tail as one line."""
    counts = Counter(values)
    in_order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = in_order[_MOST_LINES:]
    if not rest:
        return in_order
    return [
        *in_order[:_MOST_LINES],
        (f"{len(rest)} others", sum(count for _, count in rest)),
    ]


def _place(row: CaptionedImage) -> str:
    """Return the host that an image comes from, or that it comes from a folder."""
    origin = row.image.origin
    try:
        return urlsplit(origin.page_url or origin.url).hostname or "a folder"
    except ValueError:
        return "an address that cannot be read"
