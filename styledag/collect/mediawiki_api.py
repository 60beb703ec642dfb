"""Questions to a MediaWiki site's ``api.php``."""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from styledag.collect.web.client import Client, Page
from styledag.collect.web.waiting import backoff_s
from styledag.errors import FetchError, SourceError

logger = logging.getLogger("styledag.collect")

MAXLAG_S = 5
"""Seconds of replication lag above which the wiki shall turn us away (its own advice)."""

_WAIT_AND_RETRY = {"maxlag", "ratelimited", "readonly"}


class MediaWikiApi:
    """Asks ``action=query``, continued to its end.

    Args:
        url: Address of ``api.php``.
        client: Fetches the answers.
    """

    def __init__(self, url: str, client: Client) -> None:
        self.url = url
        self._client = client
        self._asked = 0

    def pages(self, **question: str) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of all answers to a question; a page may come in several parts.

        Raises:
            SourceError: If the wiki cannot be asked, or does not answer as MediaWiki does.
        """
        more: dict[str, str] = {}
        seen: set[str] = set()
        while True:
            answer = self._query({**question, **more})
            found = answer.get("query", {}).get("pages", [])
            yield from found.values() if isinstance(found, dict) else found
            more = {name: str(value) for name, value in answer.get("continue", {}).items()}
            token = json.dumps(more, sort_keys=True)
            if not more:
                return
            if token in seen:
                logger.warning("%s repeats the continuation %s: ending here", self.url, token)
                return
            seen.add(token)

    def _query(self, question: Mapping[str, str]) -> Mapping[str, Any]:
        parameters = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "maxlag": str(MAXLAG_S),
            **question,
        }
        url = f"{self.url}?{urlencode(sorted(parameters.items()))}"
        for attempt in range(self._client.settings.retries + 1):
            page = self._page(url)
            answer = self._parsed(page)
            error = answer.get("error", {})
            if not error:
                return answer
            if error.get("code") not in _WAIT_AND_RETRY:
                break
            asked_s = page.retry_after_s
            self._client.sleep(backoff_s(url, attempt) if asked_s is None else asked_s)
        raise SourceError(
            f"{self.url} refuses the question: {error.get('code')}: {error.get('info', '')}"
        )

    def _page(self, url: str) -> Page:
        limit = self._client.settings.max_pages
        if self._asked >= limit:
            raise SourceError(
                f"{self.url} has more than max_pages = {limit} pages of answers: raise it under "
                "fetch in the style file, or take smaller categories"
            )
        self._asked += 1
        try:
            return self._client.page(url, obey_robots=False)
        except FetchError as exc:
            raise SourceError(
                f"{self.url} cannot be read: {exc.detail} ({exc.reason}); check the address in "
                "the style file and the network, then run again"
            ) from exc

    def _parsed(self, page: Page) -> Mapping[str, Any]:
        try:
            answer = json.loads(page.body)
        except ValueError as exc:
            raise SourceError(
                f"{self.url} answers {page.content_type or 'no content type'}, not JSON: give the "
                "address of the wiki's api.php"
            ) from exc
        if not isinstance(answer, dict):
            raise SourceError(f"{self.url} does not answer as MediaWiki's api.php does")
        return answer
