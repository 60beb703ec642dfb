import pytest

from styledag.collect.client import Page
from styledag.collect.html_page import HtmlPage, check_selectors, plain_text
from styledag.errors import StyleFileError

URL = "https://example.org/wiki/list?page=1"


def parsed(html: str | bytes, content_type: str = "text/html; charset=utf-8") -> HtmlPage:
    body = html.encode() if isinstance(html, str) else html
    return HtmlPage(Page(url=URL, body=body, content_type=content_type))


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<img src="a.png">', "https://example.org/wiki/a.png"),
        ('<img src="/a b.png#top">', "https://example.org/a%20b.png"),
        ('<img src="//cdn.example.org/a.png">', "https://cdn.example.org/a.png"),
        ('<base href="/deep/"><img src="a.png">', "https://example.org/deep/a.png"),
        (
            '<img src="data:image/gif;base64,AA" data-src="a.png">',
            "https://example.org/wiki/a.png",
        ),
        ('<img src="small.png" data-original="a.png">', "https://example.org/wiki/a.png"),
        ('<img src="small.png" srcset="a.png 2x">', "https://example.org/wiki/a.png"),
        (
            '<img data-srcset="s.png 1w, a.png 9w" src="s.png">',
            "https://example.org/wiki/a.png",
        ),
        (
            '<picture><source srcset="a.png 800w"><img src="s.png"></picture>',
            "https://example.org/wiki/a.png",
        ),
    ],
)
def test_the_largest_image_is_found_where_it_really_is(html: str, expected: str) -> None:
    assert [url for url, _ in parsed(html).images("img")] == [expected]


def test_a_link_to_the_original_may_be_selected_as_the_image() -> None:
    html = '<a class="original" href="full.png"><img src="small.png"></a>'
    assert list(parsed(html).images("a.original")) == [("https://example.org/wiki/full.png", "")]


def test_a_placeholder_is_no_image() -> None:
    assert list(parsed('<img src="data:image/gif;base64,AA"><img>').images("img")) == []


def test_texts_are_on_one_line_and_unescaped() -> None:
    page = parsed(
        "<h1>  Red\n <i>Apple</i> &amp; co </h1><meta name=description content=' a  fruit '>"
    )
    assert page.text("h1") == "Red Apple & co"
    assert page.text("meta[name=description]") == "a fruit"
    assert page.text("h2") == page.text(None) == ""


def test_links_are_absolute_and_each_is_given_once() -> None:
    html = '<a href="b#x">1</a><a href="b">2</a><a>3</a><a href="?page=2">4</a>'
    assert parsed(html).links("a") == [
        "https://example.org/wiki/b",
        "https://example.org/wiki/list?page=2",
    ]


def test_the_declared_encoding_is_used() -> None:
    page = parsed("<h1>Jürgen</h1>".encode("latin-1"), "text/html; charset=ISO-8859-1")
    assert page.text("h1") == "Jürgen"


def test_xhtml_is_read_as_html() -> None:
    page = parsed(
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><h1>A</h1></html>'
    )
    assert page.text("h1") == "A"


def test_a_bad_selector_is_named() -> None:
    with pytest.raises(StyleFileError, match=r"item_link: 'a\[\['"):
        check_selectors(image="img", item_link="a[[", title=None)


def test_markup_is_taken_out_of_metadata() -> None:
    assert plain_text('<a href="x">Ada</a> &amp;\n Bob') == "Ada & Bob"
    assert plain_text("https://example.org/a.html") == "https://example.org/a.html"
