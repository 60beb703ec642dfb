"""Addresses as the WHATWG URL standard reads them; the right values are a browser's."""

import pytest

from styledag.collect.web.links import absolute_url, header_url, without_session
from styledag.errors import FetchError

BASE = "https://example.org/wiki/list?page=1"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("a.png", "https://example.org/wiki/a.png"),
        ("/a b.png#top", "https://example.org/a%20b.png"),
        ("../a.png", "https://example.org/a.png"),
        ("../../../a.png", "https://example.org/a.png"),
        ("?page=2", "https://example.org/wiki/list?page=2"),
        ("", BASE),
        ("#top", BASE),
        ("//cdn.example.org/a.png", "https://cdn.example.org/a.png"),
        ("///cdn.example.org/a.png", "https://cdn.example.org/a.png"),
        ("http://%45xample.ORG/a", "http://example.org/a"),
        ("http:%41", "http://a/"),
        ("https:http:", "https://example.org/wiki/http:"),
        ("dir\\win.png", "https://example.org/wiki/dir/win.png"),
        ("\\\\cdn.example.org\\a.png", "https://cdn.example.org/a.png"),
        ("https:\\\\cdn.example.org\\a.png?x=\\y", "https://cdn.example.org/a.png?x=%5Cy"),
        ("  a.png\n", "https://example.org/wiki/a.png"),
        ("a\n\t.p\rng", "https://example.org/wiki/a.png"),
        ("\x00a.png\x1f", "https://example.org/wiki/a.png"),
        ("HTTPS://Example.ORG:443/A", "https://example.org/A"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("http://example.org", "http://example.org/"),
        ("https:b.png", "https://example.org/wiki/b.png"),
        ("http:other.example/b.png", "http://other.example/b.png"),
        ("hûtte 絵.png", "https://example.org/wiki/h%C3%BBtte%20%E7%B5%B5.png"),
        ("a%23b.png", "https://example.org/wiki/a%23b.png"),
        ("100%.png", "https://example.org/wiki/100%25.png"),
        ("100%25 é%.png", "https://example.org/wiki/100%25%20%C3%A9%25.png"),
        ("100%25.png", "https://example.org/wiki/100%25.png"),
        ('a?q="x"&r=<y>', "https://example.org/wiki/a?q=%22x%22&r=%3Cy%3E"),
        ("pic.php?id=5&region=eu&copy=2", "https://example.org/wiki/pic.php?id=5&region=eu&copy=2"),
        ("http://[2001:DB8::1]:80/a", "http://[2001:db8::1]/a"),
        ("http://Bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"),
        ("//faß.example:8080/", "https://xn--fa-hia.example:8080/"),
        ("http://b%C3%BCcher.example/", "http://xn--bcher-kva.example/"),
        ("http://例え。テスト/", "http://xn--r8jz45g.xn--zckzah/"),
        ("http://\N{HEAVY BLACK HEART}.example/", "http://xn--qei.example/"),
        ("http://a_b.example/", "http://a_b.example/"),
        ("%2e%2E/a%2epng", "https://example.org/a.png"),
        ("mailto:a@b", "mailto:a@b"),
        ("javascript:void(0)", "javascript:void(0)"),
    ],
)
def test_a_link_is_read_as_a_browser_reads_it(link: str, expected: str) -> None:
    assert absolute_url(BASE, link) == expected


def test_a_query_is_in_the_pages_encoding_and_a_path_in_utf_8() -> None:
    assert (
        absolute_url(BASE, "絵?q=絵", encoding="shift_jis")
        == "https://example.org/wiki/%E7%B5%B5?q=%8AG"
    )


@pytest.mark.parametrize(
    "link",
    [
        "http://[bad/a",
        "http://a:b/",
        "http://a:99999/",
        "http:a b",
        "http://a%2Fb/",
        "http:\x080",
        "http://ü..x/",
        "http://a\u00a0b\u2603.example/",  # a space by the older standard of names
        "http://a\u2100b\u2603.example/",  # a/c by it
    ],
)
def test_what_is_no_address_is_refused(link: str) -> None:
    with pytest.raises(FetchError, match="invalid_url"):
        absolute_url(BASE, link)


def test_a_location_header_is_utf_8_where_it_can_be() -> None:
    assert header_url("/hûtte 絵.png".encode().decode("latin-1")) == "/hûtte 絵.png"
    assert header_url("/caf\xe9.png") == "/café.png"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://x/a?PHPSESSID=0123456789abcdef&p=2", "http://x/a?p=2"),
        ("http://x/a?p=2&sid=0123456789abcdef", "http://x/a?p=2"),
        ("http://x/a;jsessionid=0A1B.node1?p=2", "http://x/a?p=2"),
        ("http://x/a?sid=0123456789abcdef", "http://x/a"),
        ("http://x/a?sid=5", "http://x/a?sid=5"),
        ("http://x/a?sid=20240131-2", "http://x/a?sid=20240131-2"),
        ("http://x/a?sid=507f1f77bcf86cd799439011", "http://x/a?sid=507f1f77bcf86cd799439011"),
        ("http://x/a?q=sid&p=1", "http://x/a?q=sid&p=1"),
        ("http://x/a", "http://x/a"),
    ],
)
def test_a_session_makes_no_new_page(url: str, expected: str) -> None:
    assert without_session(url) == expected
