"""Bytes of a page as text, by the rules of the WHATWG Encoding and HTML standards."""

import codecs
import re
from collections.abc import Iterator

import webencodings

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
)
_PRESCAN_BYTES = 1_024
_SPACE = rb"\t\n\f\r "
_HEADER = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)
_XML = re.compile(rb"""^<\?xml[^>]*?\bencoding\s*=\s*["']\s*([^"'>\s]+)""")
_TAG = re.compile(rb"</?[a-z]+", re.IGNORECASE)
_META = re.compile(rb"<meta(?=[" + _SPACE + rb"/])", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    rb"[%(s)s/]*(=?[^%(s)s=/>]+)(?:[%(s)s]*=[%(s)s]*(?:\"([^\"]*)\"|'([^']*)'|([^%(s)s>]*)))?"
    % {b"s": _SPACE}
)
_ERRORS = "styledag.web"


def decode_page(body: bytes, content_type: str = "") -> tuple[str, str]:
    """Return a page's text and the name of its encoding.

    A byte-order mark decides first, then the header's ``charset``, then a ``meta`` element or an
    XML declaration in the first 1,024 bytes. A page that declares nothing is UTF-8 if it can be,
    and else windows-1252. A byte that the encoding does not know becomes one U+FFFD.
    """
    for bom, name in _BOMS:
        if body.startswith(bom):
            return _decoded(body[len(bom) :], name), name
    header = _HEADER.search(content_type)
    stated = _name(header[1]) if header else None
    name = stated or _declared(body[:_PRESCAN_BYTES]) or _guess(body)
    return _decoded(body, name), name


def query_codec(name: str) -> str:
    """Return the Python codec in which a page of an encoding sends its queries.

    Browsers use UTF-8 where the page is in UTF-16, or in an encoding with states.
    """
    if name.startswith(("utf-16", "iso-2022", "x-user", "replacement")):
        return "utf-8"
    return _PYTHON_NAMES.get(name) or webencodings.PYTHON_NAMES.get(name, name)


def _name(label: str) -> str | None:
    """Return the standard's name for a label, such as windows-1252 for ``iso-8859-1``."""
    encoding = webencodings.lookup(label)
    return None if encoding is None else str(encoding.name)


def _guess(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def _declared(head: bytes) -> str | None:
    """Return the encoding that the first bytes declare (HTML, 13.2.3.2, the prescan)."""
    xml = _XML.match(head)
    name = _name(xml[1].decode("latin-1")) if xml else None
    if name is None:
        name = next((found for found in map(_charset_of, _metas(head)) if found), None)
    if name is not None and name.startswith("utf-16"):
        # The declaration could be read byte by byte, so that is not what the page is in.
        return "utf-8"
    return "windows-1252" if name == "x-user-defined" else name


def _metas(head: bytes) -> Iterator[dict[bytes, bytes]]:
    """Yield the attributes of each ``meta`` tag that stands outside comments and other tags."""
    at = head.find(b"<")
    while at >= 0:
        if head.startswith(b"<!--", at):
            # "-->" may share its hyphens with "<!--".
            end = head.find(b"-->", at + 2)
        elif meta := _META.match(head, at):
            attributes, end = _attributes(head, meta.end())
            yield attributes
        elif tag := _TAG.match(head, at):
            _, end = _attributes(head, tag.end())
        elif head[at + 1 : at + 2] in (b"!", b"/", b"?"):
            end = head.find(b">", at)
        else:
            end = at
        if end < 0:
            return
        at = head.find(b"<", end + 1)


def _attributes(head: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    found: dict[bytes, bytes] = {}
    while match := _ATTRIBUTE.match(head, at):
        value = next((each for each in match.groups()[1:] if each is not None), b"")
        found.setdefault(match[1].lower(), value)
        at = match.end()
    return found, max(at - 1, 0)


def _charset_of(meta: dict[bytes, bytes]) -> str | None:
    if b"charset" in meta:
        return _name(meta[b"charset"].decode("latin-1"))
    if meta.get(b"http-equiv", b"").lower() != b"content-type":
        return None
    content = _HEADER.search(meta.get(b"content", b"").decode("latin-1"))
    return _name(content[1]) if content else None


_PYTHON_NAMES = {
    # What Python has under these names is narrower than what the web means by them.
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
}


def _decoded(body: bytes, name: str) -> str:
    if name in _PYTHON_NAMES:
        return body.decode(_PYTHON_NAMES[name], errors=_ERRORS)
    if name == "replacement":
        # Encodings that were used to smuggle scripts: browsers read nothing of such a page.
        return "\ufffd" if body else ""
    encoding = webencodings.lookup(name) or webencodings.UTF8
    return str(encoding.codec_info.decode(body, _ERRORS)[0])


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Return what the standard reads where Python's codec gives up, and where to go on."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    at, bad = error.start, error.object[error.start : error.start + 2]
    if error.encoding == "euc_jp" and len(bad) == 2 and min(bad) >= 0xA1:
        # NEC's and IBM's rows, which Python has under Shift_JIS alone.
        row, cell = bad[0] - 0xA1, bad[1] - 0xA1
        lead = row // 2 + (0x81 if row < 62 else 0xC1)
        trail = cell + 0x9F if row % 2 else cell + (0x40 if cell < 63 else 0x41)
        text = bytes((lead, trail)).decode("cp932", errors="replace")
        if text.isprintable() and "\ufffd" not in text:
            return text, at + 2
    if error.encoding == "gb18030" and bad[:1] == b"\x80":
        return "€", at + 1
    if error.encoding == "charmap" and 0x80 <= bad[0] < 0xA0:
        # The standard's tables of single bytes have controls where Python's have holes.
        return chr(bad[0]), at + 1
    return "\ufffd", error.end


codecs.register_error(_ERRORS, _replaced)
