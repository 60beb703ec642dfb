"""What a wiki answers in place of a thumbnail; it says nothing of the wiki's other files."""

from styledag.errors import FetchError

WIDTH_REFUSED = "thumbnail_width"
_OWN_WIDTHS = b"w.wiki/GHai"
"""Where Wikimedia's error page says which widths it serves (mediawiki.org, Common thumbnail sizes);
it comes with 429, and since 2026 with 400."""


def thumbnail_refusal(status: int, body: bytes) -> FetchError | None:
    """Return why an answer with an error's status is no thumbnail; ``None`` if it is another error.

    ``thumbnail_width`` is final. ``thumbnail_failed`` is so after a few tries: MediaWiki's
    thumb.php answers 500 each time, and 429 once it has failed too often.

    Args:
        status: The answer's status.
        body: The first bytes of the error's page.
    """
    if status in (400, 429) and _OWN_WIDTHS in body:
        return FetchError(
            WIDTH_REFUSED,
            "the wiki serves thumbnails of its own widths alone (https://w.wiki/GHai): name one of "
            "these, or the file itself, as originals: true does",
        )
    failed = b"Error generating thumbnail" in body
    if failed and (status == 500 or (status == 429 and b"too many recent failed attempts" in body)):
        detail = "the wiki cannot draw this thumbnail, however often it is asked"
        return FetchError("thumbnail_failed", detail)
    return None
