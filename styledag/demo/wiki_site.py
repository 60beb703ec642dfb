"""The wiki itself, without a server: from a path to an answer."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import jinja2

from styledag.demo.wiki_artwork import EXTRA_SUFFIXES, Article, extra_articles

ARTICLES_PER_PAGE = 24
AUTHOR = "Twitter, Inc., X Corp. and other contributors"
LICENCE = "CC BY 4.0"
ROBOTS = "User-agent: *\nDisallow: /special/\n"


@dataclass(frozen=True)
class Answer:
    """What the wiki answers to a GET.

    Attributes:
        kind: ``page``, ``image`` or ``robots``.
        content_type: Media type of the body.
    """

    status: int
    kind: str
    content_type: str
    body: bytes

    @property
    def etag(self) -> str:
        """Changes with the body and with nothing else."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'


class WikiSite:
    """Pages and images.

    Args:
        articles: Articles that are always there.
        extra: Folder of images ``<category>/<name>.png`` that are articles too; read anew for
            each request.
    """

    def __init__(self, articles: Sequence[Article], *, extra: Path | None = None) -> None:
        self._fixed = {article.slug: article for article in articles}
        self._extra = extra
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("styledag.demo", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )

    @property
    def articles(self) -> Mapping[str, Article]:
        """All articles by slug; those of the extra folder last."""
        if self._extra is None:
            return self._fixed
        further = extra_articles(self._extra, self._fixed)
        return {**self._fixed, **{article.slug: article for article in further}}

    @property
    def categories(self) -> Mapping[str, Sequence[Article]]:
        """Articles by category."""
        found: dict[str, list[Article]] = {}
        for article in self.articles.values():
            found.setdefault(article.category, []).append(article)
        return found

    def answer(self, target: str) -> Answer:
        """Return the answer to a request target such as ``/category/animals?page=2``."""
        parts = urlsplit(target)
        _, _, rest = parts.path.partition("/")
        place, _, name = rest.partition("/")
        name = unquote(name)
        if place == "robots.txt":
            return Answer(200, "robots", "text/plain; charset=utf-8", ROBOTS.encode())
        if place == "images":
            return self._image(name)
        if place == "category":
            return self._category(name, parse_qs(parts.query).get("page", ["1"])[0])
        if place == "wiki":
            return self._article(name)
        if rest == "licence":
            return self._page("licence", title="Licence")
        if rest == "":
            categories = [(slug, _category_name(slug)) for slug in self.categories]
            return self._page("index", title="Emoji Wiki", categories=categories)
        return _missing("page")

    def _article(self, slug: str) -> Answer:
        article = self.articles.get(slug)
        if article is None:
            return _missing("page")
        name = _category_name(article.category)
        title = article.title if article.is_titled else name
        return self._page("article", title=title, article=article, category_name=name)

    def _category(self, slug: str, number: str) -> Answer:
        articles = self.categories.get(slug, ())
        page = int(number) if number.isdecimal() and len(number) < 6 else 0
        start = (page - 1) * ARTICLES_PER_PAGE
        if page < 1 or start >= len(articles):
            return _missing("page")
        end = start + ARTICLES_PER_PAGE
        return self._page(
            "category",
            title=_category_name(slug),
            articles=articles[start:end],
            page=page,
            has_next=end < len(articles),
        )

    def _image(self, name: str) -> Answer:
        # Only files that an article names are served, so no path can lead elsewhere.
        for article in self.articles.values():
            if article.image == name:
                try:
                    body = article.path.read_bytes()
                except FileNotFoundError:
                    break
                return Answer(200, "image", EXTRA_SUFFIXES[article.path.suffix.lower()], body)
        return _missing("image")

    def _page(self, template: str, **values: object) -> Answer:
        html = self._templates.get_template(f"wiki_{template}.html.j2").render(
            author=AUTHOR, licence=LICENCE, **values
        )
        return Answer(200, "page", "text/html; charset=utf-8", html.encode())


def _missing(kind: str) -> Answer:
    return Answer(404, kind, "text/plain; charset=utf-8", b"There is no such page.\n")


def _category_name(slug: str) -> str:
    return slug.replace("-", " ").capitalize()
