"""The dataset's card: what is in it, where it comes from, and how something is taken down."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from styledag.captions.records import CaptionedImage
from styledag.dataset.markdown import escape_markdown
from styledag.dataset.split import SPLITS, Split
from styledag.manifest import Manifest
from styledag.templates import templates

_MOST_LINES = 20
_SAMPLES = 5
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def dataset_card(
    captioned: Manifest[CaptionedImage],
    splits: Mapping[Split, int],
    *,
    title: str,
    description: str,
    captioner: str,
) -> str:
    """Return the README of a dataset folder: a YAML header that the Hub reads, and a page.

    Text of images, pages and captions is escaped.
    """
    environment = templates(
        Path(__file__).parent,
        autoescape=False,
        keep_trailing_newline=True,
        # Here, and not at each place of use, so that no place can be forgotten.
        finalize=escape_markdown,
    )
    column = captioned.column
    captioners = [each for each in column("captioner") if each]
    sizes = zip(column("image.width_px"), column("image.height_px"), strict=True)
    addresses = zip(column("image.origin.page_url"), column("image.origin.url"), strict=True)
    page = environment.get_template("card.md.j2").render(
        title=title,
        description=description,
        splits={split: splits[split] for split in SPLITS if splits[split]},
        images=len(captioned.rows),
        families=len(set(column("image.family"))),
        sizes=_counted(f"{width_px}x{height_px}" for width_px, height_px in sizes),
        copies=sum(map(len, column("image.copies"))),
        in_families=sum(size > 1 for size in column("image.family_size")),
        places=_counted(_place(*each) for each in addresses),
        licences=_counted(column("image.origin.licence")),
        authors=len({*column("image.origin.author")} - {""}),
        captioner=captioner,
        captioner_settings=_counted(captioners),
        caption_sources=_counted(column("source")),
        rules=_counted(chain.from_iterable(column("rule_hits"))),
        rules_version=", ".join(sorted({*column("rules_version")})),
        commonest=_counted(column("caption"))[0],
        rejected=_counted(rejection.reason for rejection in captioned.rejected),
        samples=captioned.rows[:_SAMPLES],
    )
    return f"---\n{_header(splits, title)}---\n\n{page}"


def _header(splits: Mapping[Split, int], title: str) -> str:
    count = sum(splits.values())
    header: dict[str, Any] = {
        "pretty_name": title,
        "task_categories": ["text-to-image"],
        "tags": ["styledag"],
        "size_categories": [next((name for most, name in _SIZES if count < most), "10M<n<100M")],
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
    shown = heapq.nsmallest(_MOST_LINES, counts.items(), key=lambda item: (-item[1], item[0]))
    others = len(counts) - len(shown)
    if not others:
        return shown
    return [*shown, (f"{others} others", counts.total() - sum(count for _, count in shown))]


def _place(page_url: str, url: str) -> str:
    """Return the host that an image comes from, or that it comes from a folder."""
    return _host("/".join((page_url or url).split("/", 3)[:3]))


@lru_cache(4_096)
def _host(address: str) -> str:
    if "//" not in address:
        return "a folder"
    try:
        return urlsplit(address).hostname or "a folder"
    except ValueError:
        return "an address that cannot be read"
