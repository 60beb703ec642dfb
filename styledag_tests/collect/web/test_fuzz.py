"""Whatever a server sends: an answer or a reason, in time, and the same one each time."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from protego import Protego

from styledag.collect.settings import NearImage
from styledag.collect.web.client import Page
from styledag.collect.web.encoding import decode_page
from styledag.collect.web.html_page import HtmlPage
from styledag.collect.web.links import absolute_url, header_url, without_session
from styledag.collect.web.opt_outs import header_opt_outs, usage_rules
from styledag.collect.web.originals import original_url
from styledag.collect.web.rendered_text import plain_text
from styledag.collect.web.robots import robots_text
from styledag.collect.web.srcset import candidates
from styledag.collect.wikitext import gallery_captions
from styledag.errors import FetchError
from styledag.retry_after import retry_after_s

quickly = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
URL = "https://example.org/a/b?c=d"


def soup(*words: str) -> st.SearchStrategy[str]:
    """Texts of the words that a format is made of, and of anything else between them."""
    return st.lists(st.sampled_from(words) | st.text(max_size=6), max_size=30).map("".join)


HTML = soup(
    *("<img src=", "<img srcset='", "<picture>", "<source srcset=", "</picture>", "<base href="),
    *("<figure>", "<figcaption>", "</figure>", "<template>", "<svg>", "<noscript>", "<table><tr>"),
    *(
        "<meta name=robots content=",
        "<h1 hidden>",
        "<br>",
        "<!--",
        "-->",
        "'",
        '"',
        ">",
        "&amp",
        "\0",
    ),
)
ROBOTS = soup(
    *("User-agent: *\n", "User-agent: styledag\n", "Disallow: /", "Allow: ", "Content-Usage: "),
    *("train-ai=n", "train-ai=y", "Crawl-delay: ", "\r", "\n", "\ufeff", "#", "*", "$", "%", "/a"),
)


@quickly
@given(HTML, st.sampled_from(["utf-8", "shift_jis", "utf-16", "euc-jp", "", "x"]))
def test_any_page_is_read(html: str, charset: str) -> None:
    body = html.encode("utf-8", errors="replace")
    page = HtmlPage(Page(url=URL, body=body, content_type=f"text/html; charset={charset}"))
    for image in page.images("img"):
        page.text_of(NearImage(near="figcaption"), image)
        assert original_url(image.url)
    assert page.links("a") is not None
    text = page.text("h1")
    assert text == " ".join(text.split())


@quickly
@given(st.binary(max_size=300), st.text(max_size=40))
def test_any_bytes_are_decoded(body: bytes, content_type: str) -> None:
    text, _ = decode_page(body, content_type)
    text.encode()


@quickly
@given(soup(" ", ",", "(", ")", "1w", "2x", "3h", "a.png", "data:,x"))
def test_any_srcset_gives_addresses_without_white_space(srcset: str) -> None:
    for url, (_, size) in candidates(srcset):
        assert url
        assert not set(url) & set(" \t\n\f\r")
        assert not url.endswith(",")
        assert size >= 0


@quickly
@given(soup("http:", "https:", "//", "\\", "?", "#", "%", "%41", "..", "/", ":80", "@", "[", "]"))
def test_any_link_is_an_address_or_refused(link: str) -> None:
    try:
        url = absolute_url(URL, header_url(link))
    except FetchError:
        return
    assert absolute_url(URL, url) == url
    assert without_session(without_session(url)) == without_session(url)


@quickly
@given(ROBOTS)
def test_any_robots_txt_gives_rules(robots: str) -> None:
    text = robots_text(robots.encode("utf-8", errors="replace"))
    for rules in (text, usage_rules(text)):
        assert Protego.parse(rules).can_fetch(URL, "styledag") in (True, False)


@quickly
@given(soup("Wed, ", "01 Jan 2025 ", "00:00:30", " GMT", "7", "1.5", ",", "-", "9" * 30))
def test_any_retry_after_is_a_wait_or_nothing(header: str) -> None:
    wait_s = retry_after_s(header, date="Wed, 01 Jan 2025 00:00:00 GMT")
    assert wait_s is None or 0 <= wait_s <= 1e9


@quickly
@given(st.lists(soup("noai", "styledag", ":", ",", "train-ai=n", ";"), max_size=3))
def test_any_header_is_read(lines: list[str]) -> None:
    assert header_opt_outs(lines, lines) == header_opt_outs(lines, lines)


@quickly
@given(
    soup("<gallery>", "</gallery>", "\nFile:A.png|", "{{", "}}", "[[", "]]", "|", "'''", "<ref>")
)
def test_any_wikitext_and_metadata_is_read(text: str) -> None:
    assert all(gallery_captions(text).values())
    assert plain_text(text) == " ".join(plain_text(text).split())
