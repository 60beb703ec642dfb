"""Encodings as browsers decide on them: expected texts come from the bytes' own authors."""

import codecs

import pytest
from webencodings.labels import LABELS

from styledag.collect.web.encoding import decode_page, query_codec


@pytest.mark.parametrize(
    ("body", "content_type", "text", "name"),
    [
        # The byte-order mark outranks the header, and the header what the page says of itself.
        (b"\xef\xbb\xbfCaf\xc3\xa9", "text/html; charset=ISO-8859-1", "Café", "utf-8"),
        ("Café".encode("utf-16"), "text/html; charset=utf-8", "Café", "utf-16le"),
        (b"\xfe\xff\x00A", "", "A", "utf-16be"),
        (b"\xe9", 'text/html;charset="ISO-8859-1"; x=y', "é", "windows-1252"),
        (b"\xe9", "text/html; CHARSET = 'l1'", "é", "windows-1252"),
        (b"\xc3\xa9", "text/html; charset=nonsense", "é", "utf-8"),
        # Labels mean on the web what pages mean by them.
        ("髙山①の絵".encode("cp932"), "text/html; charset=Shift_JIS", "髙山①の絵", "shift_jis"),
        ("髙山①".encode("cp932"), "text/html; charset=windows-31j", "髙山①", "shift_jis"),
        ("囍字图案".encode("gbk"), "text/html; charset=gb2312", "囍字图案", "gbk"),
        (b"\x80 \xa2\xe3", "text/html; charset=gbk", "€ €", "gbk"),
        ("𠀀".encode("gb18030"), "text/html; charset=gbk", "𠀀", "gbk"),
        ("똠방각하".encode("cp949"), "text/html; charset=EUC-KR", "똠방각하", "euc-kr"),
        ("香港嘅㗎".encode("big5hkscs"), "text/html; charset=big5", "香港嘅㗎", "big5"),
        (
            "“Fox” \u2013 ok".encode("cp1252"),
            "text/html; charset=iso-8859-1",
            "“Fox” \u2013 ok",
            "windows-1252",
        ),
        ("“Fox”".encode("cp1252"), "text/html; charset=us-ascii", "“Fox”", "windows-1252"),
        ("ğ“".encode("cp1254"), "text/html; charset=iso-8859-9", "ğ“", "windows-1254"),
        ("ไทย".encode("cp874") + b"\x93", "text/html; charset=tis-620", "ไทย“", "windows-874"),
        (b"\xad\xa1\xfc\xe2", "text/html; charset=euc-jp", "①髙", "euc-jp"),
        ("日本".encode("euc_jp"), "text/html; charset=x-euc-jp", "日本", "euc-jp"),
        ("日本".encode("iso2022_jp"), "text/html; charset=iso-2022-jp", "日本", "iso-2022-jp"),
        ("Привет".encode("koi8-r"), "text/html; charset=koi8", "Привет", "koi8-r"),
        # One bad byte costs one character.
        (b"a\xffb\xc3\xa9", "text/html; charset=utf-8", "a\ufffdbé", "utf-8"),
        (b"a\xe2\x28b", "text/html; charset=utf-8", "a\ufffd(b", "utf-8"),
        (b"a\x81\x20b", "text/html; charset=shift_jis", "a\ufffd b", "shift_jis"),
        (b"a\x81 b", "text/html; charset=gbk", "a\ufffd b", "gbk"),
        (b"\x81\x93", "text/html; charset=windows-1252", "\x81“", "windows-1252"),
        (b"a\xdb", "text/html; charset=windows-874", "a\ufffd", "windows-874"),
        # Known for attacks on the reader: nothing is read of it.
        (b"~{<:Ky2;~}", "text/html; charset=hz-gb-2312", "\ufffd", "replacement"),
    ],
)
def test_bytes_are_read_as_the_web_means_them(
    body: bytes, content_type: str, text: str, name: str
) -> None:
    assert decode_page(body, content_type) == (text, name)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"<meta charset=koi8-r>", "koi8-r"),
        (b"<META\nCHARSET = 'KOI8-R' >", "koi8-r"),
        (b"<meta/charset=koi8-r>", "koi8-r"),
        (b'<meta http-equiv=Content-Type content="text/html; charset=koi8-r">', "koi8-r"),
        (b'<meta content="text/html;charset=koi8-r" http-equiv="content-type">', "koi8-r"),
        (b'<meta content="text/html;charset=koi8-r">', "utf-8"),
        (b"<!-- <meta charset=koi8-r> -->", "utf-8"),
        (b"<!--><meta charset=koi8-r>", "koi8-r"),
        (b'<p title="<meta charset=koi8-r>">', "utf-8"),
        (b"<!doctype html><meta charset=koi8-r>", "koi8-r"),
        (b"<metadata charset=koi8-r>", "utf-8"),
        (b"<meta charset=nonsense><meta charset=koi8-r>", "koi8-r"),
        (b"<meta charset=koi8-r><meta charset=latin1>", "koi8-r"),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b'<?xml version="1.0" encoding="koi8-r"?><p>', "koi8-r"),
        (b" " * 1_020 + b"<meta charset=koi8-r>", "utf-8"),
        (b"<", "utf-8"),
        (b"<!--", "utf-8"),
        (b"<meta charset", "utf-8"),
        (b"", "utf-8"),
        (b"caf\xe9", "windows-1252"),
    ],
)
def test_a_page_may_declare_its_own_encoding(head: bytes, name: str) -> None:
    assert decode_page(head)[1] == name


def test_the_header_outranks_what_the_page_declares() -> None:
    body = b"<meta charset=utf-8>\xe9"
    assert decode_page(body, "text/html; charset=latin1")[0].endswith("é")


@pytest.mark.parametrize("label", [b"a", b"%", b" "])
def test_a_megabyte_of_broken_markup_is_read_at_once(label: bytes) -> None:
    assert decode_page(b"<meta " + label * 1_000_000)[1] == "utf-8"


@pytest.mark.parametrize("name", sorted(set(LABELS.values())))
def test_every_encoding_of_the_web_can_be_read_and_asked_in(name: str) -> None:
    assert decode_page(b"", f"text/html; charset={name}")[0] == ""
    assert codecs.lookup(query_codec(name))
