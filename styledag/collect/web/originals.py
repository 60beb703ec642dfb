"""Addresses of images as they were uploaded, from those of smaller or converted copies."""

import re
from urllib.parse import parse_qs, urljoin

from styledag.collect.web.addresses import parts_of

_THUMBNAIL = re.compile(
    r"^(?P<before>.*)/thumb(?P<path>/(?:[0-9a-f]/[0-9a-f]{2}/)?(?P<name>[^/]+))/[^/]*px-[^/]*$"
)
_SCALED = re.compile(
    r"(?<=/revision/latest)/(?:scale-to-width|scale-to-height|thumbnail|smart|zoom|"
    r"top-crop|window-crop|fixed-aspect-ratio)[^?]*"
)
_HOST_OF_ORIGINALS = {"thumb.wikimedia.org": "upload.wikimedia.org"}
"""Wikimedia serves thumbnails alone from a host of their own, since 2026."""
_WORDPRESS = re.compile(r"(?<=/wp-content/uploads/)(.+?)-\d+x\d+(?=\.\w+$)")
_SCALED_BY_QUERY = re.compile(
    r"/wp-content/uploads/|\.files\.wordpress\.com/|/lib/exe/fetch\.php\b|/_media/"
)
_SCALING = {"w", "h", "resize", "fit", "crop", "quality", "strip", "ssl", "tok"}
"""Keys by which a query asks WordPress.com or DokuWiki for a smaller copy.

https://docs.wpvip.com/vip-file-system/image-files/transformations/query-parameters/ and DokuWiki's
``lib/exe/fetch.php``.
"""
_PHOTON = re.compile(r"i[0-3]\.wp\.com")
_CLOUDFLARE = re.compile(r"^/cdn-cgi/image/[^/]+/")
_PIXELS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")


def original_url(url: str) -> str:
    """Return the address of the file that a smaller copy was made from, as far as it says.

    Thumbnails of MediaWiki, Fandom, WordPress and DokuWiki are known, and what Next.js, Cloudflare
    and WordPress's Photon scale by their address. A rendering of an SVG stays as it is: the file
    has no pixels.
    """
    try:
        behind = _behind(url)
    except ValueError:  # what it scales is no address
        return url
    parts = parts_of(behind)
    thumbnail = _THUMBNAIL.match(parts.path)
    if thumbnail and thumbnail["name"].lower().endswith(_PIXELS):
        path = f"{thumbnail['before']}{thumbnail['path']}"
        host = _HOST_OF_ORIGINALS.get(parts.netloc, parts.netloc)
        return parts._replace(netloc=host, path=path, query="").geturl()
    path = _WORDPRESS.sub(r"\1", _SCALED.sub("", parts.path))
    query = parts.query
    if _SCALED_BY_QUERY.search(behind):
        asked = (each for each in query.split("&") if each.partition("=")[0] not in _SCALING)
        query = "&".join(asked)
    return uploaded_url(parts._replace(path=path, query=query).geturl())


def _behind(url: str) -> str:
    """Return the address that a service scales, out of its own."""
    parts = parts_of(url)
    if parts.path.endswith("/_next/image"):
        asked = parse_qs(parts.query).get("url", [""])[0]
        return urljoin(url, asked) if asked else url
    if _PHOTON.fullmatch(parts.netloc):
        return f"https://{parts.path.lstrip('/')}"
    scaled = _CLOUDFLARE.match(parts.path)
    if scaled is None:
        return url
    inner = parts._replace(scheme="", netloc="", path=parts.path[scaled.end() :]).geturl()
    return inner if inner.startswith(("http://", "https://")) else urljoin(url, f"/{inner}")


def uploaded_url(url: str) -> str:
    """Return an address at which Fandom's CDN does not convert the file to WebP."""
    parts = parts_of(url)
    if (parts.hostname or "").endswith(".nocookie.net") and "format=" not in parts.query:
        return f"{url}{'&' if parts.query else '?'}format=original"
    return url
