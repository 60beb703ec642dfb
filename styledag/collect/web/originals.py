"""Addresses of images as they were uploaded, from those of smaller or converted copies."""

import re
from urllib.parse import urlsplit

_THUMBNAIL = re.compile(
    r"^(?P<before>.*)/thumb(?P<path>/(?:[0-9a-f]/[0-9a-f]{2}/)?(?P<name>[^/]+))/[^/]*px-[^/]*$"
)
_SCALED = re.compile(
    r"(?<=/revision/latest)/(?:scale-to-width|scale-to-height|thumbnail|smart|zoom|"
    r"top-crop|window-crop|fixed-aspect-ratio)[^?]*"
)
_HOST_OF_ORIGINALS = {"thumb.wikimedia.org": "upload.wikimedia.org"}
"""Wikimedia serves thumbnails alone from a host of their own, since 2026."""
_PIXELS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")


def original_url(url: str) -> str:
    """Return the address of the file that a MediaWiki or Fandom thumbnail was made from.

    A rendering of an SVG stays as it is: the file has no pixels.
    """
    parts = urlsplit(url)
    thumbnail = _THUMBNAIL.match(parts.path)
    if thumbnail and thumbnail["name"].lower().endswith(_PIXELS):
        path = f"{thumbnail['before']}{thumbnail['path']}"
        host = _HOST_OF_ORIGINALS.get(parts.netloc, parts.netloc)
        return parts._replace(netloc=host, path=path, query="").geturl()
    return uploaded_url(parts._replace(path=_SCALED.sub("", parts.path)).geturl())


def uploaded_url(url: str) -> str:
    """Return an address at which Fandom's CDN does not convert the file to WebP."""
    parts = urlsplit(url)
    if (parts.hostname or "").endswith(".nocookie.net") and "format=" not in parts.query:
        return f"{url}{'&' if parts.query else '?'}format=original"
    return url
