"""Questions to a MediaWiki site's ``api.php``, of any version, continued to their end.

A page's parts come spread over several answers: what one property leaves out for want of room, or
for the limit of another, comes later. So parts are merged until the batch is complete, and only
then is a page what it is (MediaWiki's ``ApiContinuationManager`` and ``ApiQueryImageInfo``).
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from styledag.collect.web.client import Client, Page
from styledag.collect.web.request_headers import contact_hint
from styledag.collect.web.waiting import backoff_s
from styledag.errors import FetchError, SourceDownError, SourceError, WikiRefusedError

logger = logging.getLogger("styledag.collect")

MAXLAG_S = 5
"""Seconds of replication lag above which the wiki shall turn us away (its own advice)."""
MOST_ANSWER_BYTES = 16_000_000
"""Above MediaWiki's own limit of an answer, 8 MB by default."""
MOST_TITLES = 50
"""What a wiki answers for in one question to a visitor."""
MOST_TITLES_CHARS = 4_000
"""Keeps the URL of a question shorter than servers refuse."""

_WAIT_AND_RETRY = re.compile("maxlag|ratelimited|readonly|internal_api_error.*")
"""Codes of what may pass: a lagging or locked database, too many questions, an error inside."""
_CLOSED = ("readapidenied", "mwoauth-invalid-authorization", "assertuserfailed")
_SEARCH_ENDED = "cirrussearch-offset-too-large"
_ANSWER = re.compile(
    r'\{\s*"(?:batchcomplete|continue|error|limits|query|query-continue|warnings)"\s*:'
)
"""How an answer begins, unlike any other JSON in a page."""


class SearchEndedError(WikiRefusedError):
    """A search has more results than the wiki lets anybody read."""


class MediaWikiApi:
    """Asks ``action=query``."""

    def __init__(self, url: str, client: Client) -> None:
        self.url = url
        self._client = client
        self._asked = 0

    def at(self, url: str) -> "MediaWikiApi":
        """Return the API of another wiki, asked by the same client."""
        return MediaWikiApi(url, self._client)

    def pages(self, **question: str) -> Iterator[Mapping[str, Any]]:
        """Yield each page once, whole, under its own title.

        A page's ``asked_as`` lists the other titles that lead to it: as the question spelt it, and
        redirects.

        Raises:
            SourceError: If the wiki cannot be asked, does not answer as MediaWiki does, or repeats
                itself.
        """
        batch = _Batch()
        # An empty continue asks for today's way of continuing, which is the default since 1.26.
        more: dict[str, str] = {"continue": ""}
        seen: set[str] = set()
        while more:
            answer = self.query(**question, **more)
            batch.add(answer.get("query", {}))
            more, is_complete = _continued(answer, more)
            if set(more) <= {"continue", "iistart"} and batch.has_all_images:
                # What is left are older versions of one file.
                more, is_complete = {}, True
            if is_complete:
                yield from batch.pages()
                batch = _Batch()
            token = json.dumps(more, sort_keys=True)
            if token in seen:
                raise SourceError(
                    f"{self.url} repeats the continuation {token}: nothing is published, for what "
                    "follows it cannot be had; run again, or leave out what the wiki cannot list"
                )
            seen.add(token)
        yield from batch.pages()

    def pages_titled(self, titles: Sequence[str], **question: str) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of some titles, as :meth:`pages` does, redirects followed."""
        for batch in _batches(titles):
            yield from self.pages(titles="|".join(batch), redirects="1", **question)

    def query(self, **question: str) -> Mapping[str, Any]:
        """Return one answer to one question.

        Raises:
            SourceError: As for :meth:`pages`.
        """
        parameters = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "maxlag": str(MAXLAG_S),
            **question,
        }
        url = f"{self.url}?{urlencode(sorted(parameters.items()))}"
        error: Mapping[str, Any] = {}
        for attempt in range(self._client.settings.retries + 1):
            page = self._page(url)
            answer = self._parsed(page)
            error = answer.get("error", {})
            if not error:
                return answer
            if not _WAIT_AND_RETRY.fullmatch(str(error.get("code"))):
                break
            if attempt < self._client.settings.retries:
                self._client.sleep(page.retry_after_s or backoff_s(url, attempt))
        raise self._refusal(error)

    def _refusal(self, error: Mapping[str, Any]) -> SourceError:
        code = str(error.get("code"))
        detail = f"{self.url} refuses the question: {code}: {error.get('info', '')}"
        if code in _CLOSED:
            return WikiRefusedError(
                f"{detail} (give the cookies or headers of somebody who may read the wiki, under "
                "fetch.cookies or fetch.headers in the style file)"
            )
        if code == _SEARCH_ENDED:
            return SearchEndedError(str(error.get("info", "")))
        return (SourceDownError if _WAIT_AND_RETRY.fullmatch(code) else WikiRefusedError)(detail)

    def _page(self, url: str) -> Page:
        limit = self._client.settings.max_pages
        if self._asked >= limit:
            raise SourceError(
                f"{self.url} has more than max_pages = {limit} pages of answers: raise it under "
                "fetch in the style file, or take smaller categories"
            )
        self._asked += 1
        try:
            return self._client.page(url, obey_robots=False, max_bytes=MOST_ANSWER_BYTES)
        except FetchError as exc:
            hint = contact_hint(self._client.settings, [exc.reason])
            raise SourceError(
                f"{self.url} cannot be read: {exc.detail} ({exc.reason}); check the address in "
                f"the style file and the network, then run again{hint}"
            ) from exc

    def _parsed(self, page: Page) -> Mapping[str, Any]:
        try:
            answer = _json_in(page.body)
        except (ValueError, RecursionError) as exc:
            raise SourceError(
                f"{self.url} answers {page.content_type or 'no content type'}, not JSON: give the "
                "address of the wiki's api.php"
            ) from exc
        if answer == []:
            # How an answer without anything comes before 1.25.
            return {}
        if not isinstance(answer, dict) or not isinstance(answer.get("query", {}), dict):
            raise SourceError(f"{self.url} does not answer as MediaWiki's api.php does")
        return answer


def _json_in(body: bytes) -> Any:
    """Return the JSON of an answer, without what PHP writes around it: warnings, blanks, marks.

    Raises:
        ValueError: If there is none that is MediaWiki's.
    """
    try:
        return json.loads(body)
    except ValueError:
        text = body.decode(errors="replace")
        for start in _ANSWER.finditer(text):
            with suppress(ValueError):
                answer, _end = json.JSONDecoder().raw_decode(text, start.start())
                return answer
        raise


class _Batch:
    """The pages of one batch, whose parts may come in several answers."""

    def __init__(self) -> None:
        self._pages: dict[str, dict[str, Any]] = {}
        self._asked_as: dict[str, list[str]] = {}

    def add(self, query: Mapping[str, Any]) -> None:
        """Merge the parts that an answer holds."""
        for kind in ("normalized", "converted", "redirects"):
            for step in query.get(kind, ()):
                known = self._asked_as.setdefault(str(step["to"]), [])
                if step["from"] not in known:
                    known.append(str(step["from"]))
        for link in query.get("interwiki", ()):
            title = str(link["title"])
            reason = f"it is on another wiki, which this one calls {link.get('iw')}"
            self._pages[title] = {"title": title, "invalid": True, "invalidreason": reason}
        found = query.get("pages", ())
        # Before format version 2, of 1.25, pages come by their number.
        for part in found.values() if isinstance(found, dict) else found:
            page = self._pages.setdefault(str(part.get("title", part.get("pageid"))), {})
            for name, value in part.items():
                if isinstance(value, list) and isinstance(page.get(name), list):
                    page[name] += [each for each in value if each not in page[name]]
                else:
                    page[name] = value

    @property
    def has_all_images(self) -> bool:
        """Whether every page has a version of its file."""
        return bool(self._pages) and all("imageinfo" in page for page in self._pages.values())

    def pages(self) -> Iterator[Mapping[str, Any]]:
        """Yield the merged pages."""
        for title, page in self._pages.items():
            others = [title]
            for each in others:
                others += [name for name in self._asked_as.get(each, ()) if name not in others]
            yield {**page, "asked_as": others[1:]}


def _continued(answer: Mapping[str, Any], now: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """Return what to ask next, and whether the pages at hand are complete."""
    more = answer.get("continue")
    if more:
        return {name: str(value) for name, value in more.items()}, "batchcomplete" in answer
    old = {
        name: str(value)
        for module in (answer.get("query-continue") or {}).values()
        for name, value in module.items()
    }
    # Before 1.21, the question's author has to exhaust the properties of these pages before the
    # generator may go on to the next ones.
    generated = {name for name in old if name.startswith("g")}
    if set(old) - generated:
        here = {name: value for name, value in now.items() if name.startswith("g")}
        rest = {name: value for name, value in old.items() if name not in generated}
        return {"continue": "", **here, **rest}, False
    return ({"continue": "", **old} if old else {}), True


def _batches(titles: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    chars = 0
    for title in titles:
        more = len(quote(title)) + 3
        if batch and (len(batch) == MOST_TITLES or chars + more > MOST_TITLES_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(title)
        chars += more
    if batch:
        yield batch
