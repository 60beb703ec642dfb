import pytest

from styledag.collect.settings import NearImage, TextOf
from styledag.collect.web.client import Page
from styledag.collect.web.html_page import MOST_OPEN_TAGS, HtmlPage, check_selectors
from styledag.errors import FetchError, StyleFileError

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
        (
            '<picture><source srcset="a.png 2000w"><img srcset="s3.png 400w"></picture>',
            "https://example.org/wiki/a.png",
        ),
        (
            '<picture><source srcset="s.png 200w"><img srcset="a.png 400w"></picture>',
            "https://example.org/wiki/a.png",
        ),
        (
            '<picture><source srcset="s.png 2x"><source srcset="a.png 3x"><img src=x></picture>',
            "https://example.org/wiki/a.png",
        ),
        ('<img srcset="s.png 300w 200h, a.png 1200w 800h">', "https://example.org/wiki/a.png"),
        (
            '<img src="pic.php?id=5&region=eu&copy=2&param=3">',
            "https://example.org/wiki/pic.php?id=5&region=eu&copy=2&param=3",
        ),
        ('<img src="pic.php?a=1&amp;b=2">', "https://example.org/wiki/pic.php?a=1&b=2"),
        ('<img src="dir\\a.png">', "https://example.org/wiki/dir/a.png"),
        ('<base href="assets/"><img src="a.png">', "https://example.org/wiki/assets/a.png"),
    ],
)
def test_the_largest_image_is_found_where_it_really_is(html: str, expected: str) -> None:
    assert [image.url for image in parsed(html).images("img")] == [expected]


@pytest.mark.parametrize(
    "source",
    [
        '<source type="image/jxl" srcset="b.jxl 2000w">',
        '<source type="image/svg+xml" srcset="b.svg">',
        '<source type="video/mp4" srcset="b.mp4">',
        '<source type="image/jxl; q=1" data-srcset="b.jxl 2000w">',
    ],
)
def test_a_source_of_a_type_that_is_not_opened_counts_after_those_that_are(source: str) -> None:
    assert [image.url[-5:] for image in parsed(f"<picture>{source}<img></picture>").images("img")]
    for rest in ('<img src="a.png">', '<source type=image/webp srcset="a.png"><img src=s.png>'):
        [image] = parsed(f"<picture>{source}{rest}</picture>").images("img")
        assert image.url == "https://example.org/wiki/a.png"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<img src="s.png" data-src="a_{width}x.png" data-widths="[180, 1080, 540]">', "a_1080x"),
        ('<img src="a.png" data-src="b_{width}x.png">', "a"),
        ('<img src="a.png" data-src="{{ item.image }}">', "a"),
        ('<img src="${item.image}" data-original="a.png">', "a"),
        ('<div data-bgset="s.png 300w, a.png 900w"></div>', "a"),
        ('<img src="%7B3F25%7D/a.png">', "%7B3F25%7D/a"),
    ],
)
def test_what_a_script_is_to_fill_in_is_no_address(html: str, expected: str) -> None:
    [image] = parsed(html).images("img, div")
    assert image.url == f"https://example.org/wiki/{expected}.png"


def test_an_image_that_only_a_script_can_address_is_counted() -> None:
    page = parsed('<img src="{{ item.image }}"><img data-src="x_{width}x.png">')
    assert not page.images("img")
    assert page.without_address("img") == 2


def test_an_attribute_that_only_scripts_read_may_be_named() -> None:
    """Where it is missing, the image that is shown counts."""
    page = parsed(
        '<picture><source srcset="1s.webp 400w, 1m.webp 800w"><img src=1.jpg data-full=1l.jpg>'
        "</picture><img src=2.jpg data-full=''><img data-full=3l.jpg><img data-full='{{ it }}'>"
    )
    shown = [image.url.rpartition("/")[2] for image in page.images("img", "data-full")]
    assert shown == ["1l.jpg", "2.jpg", "3l.jpg"]
    assert page.without_address("img", "data-full") == 1
    assert page.images("img")[0].url.endswith("1m.webp")


def test_a_link_to_the_original_may_be_selected_as_the_image() -> None:
    html = '<a class="original" href="full.png"><img src="small.png" alt="A  fox"></a>'
    [found] = parsed(html).images("a.original")
    assert (found.url, found.alt) == ("https://example.org/wiki/full.png", "A fox")


def test_a_placeholder_is_no_image() -> None:
    assert parsed('<img src="data:image/gif;base64,AA"><img>').images("img") == []


@pytest.mark.parametrize(
    "hidden",
    [
        'data-lazy="a.png"',
        'data-image="/wiki/a.png?w=800"',
        'data-thumb="s.png" data-orig-file="a.png"',
        'data-full-url="//example.org/wiki/a.png"',
        'data-srcset-webp="s.png 1x, a.png 2x"',
        'data-bg="url(a.png)"',
        "style=\"background: #fff url('a.png') no-repeat\"",
        "><noscript><img src=a.png></noscript",
    ],
)
@pytest.mark.parametrize("stand_in", ["src=/blank.gif", "src=1x1.png", "src='data:,x'", ""])
def test_the_image_behind_a_stand_in_is_found(stand_in: str, hidden: str) -> None:
    [found] = parsed(f"<img {stand_in} class=x {hidden}>").images("img.x")
    assert found.url.partition("?")[0] == "https://example.org/wiki/a.png"


def test_an_address_that_several_share_stands_for_what_they_offer_besides() -> None:
    html = "".join(f"<figure><img src=logo.png data-x={n}.png></figure>" for n in range(3))
    assert [image.url for image in parsed(html).images("img")] == [
        f"https://example.org/wiki/{n}.png" for n in range(3)
    ]


@pytest.mark.parametrize(
    "html",
    [
        '<img src="a.png" data-page="https://example.org/page">',
        '<img src="a.png" data-hover="b.png">',
        '<img src="a.png" data-hover="b.png"><img src="a.png" data-hover="b.png">',
        '<img src="a.png" style="background: url(b.png)">',
        '<svg><image xlink:href="a.png"/></svg>',
        '<video poster="a.png" src="data:,x"></video>',
    ],
)
def test_what_is_shown_counts_before_what_is_hidden(html: str) -> None:
    images = parsed(html).images("img, image, video")
    assert {image.url for image in images} == {"https://example.org/wiki/a.png"}


def test_a_stand_in_takes_no_caption_from_the_image_behind_it() -> None:
    html = (
        "<figure><img src=blank.gif class=x><noscript><img src=a.png></noscript>"
        "<figcaption>A fox</figcaption></figure>"
    )
    page = parsed(html)
    found = {
        (each.url, page.text_of(NearImage(near="figcaption"), each)) for each in page.images("img")
    }
    assert found == {("https://example.org/wiki/a.png", "A fox")}


def test_an_element_may_show_its_image_as_background() -> None:
    html = "<div class=t style=\"background: url('a.png')\"></div><div class=t data-bg=b.png></div>"
    page = parsed(html)
    assert [image.url[-5:] for image in page.images("div.t")] == ["a.png", "b.png"]
    assert page.without_address("div.t") == 0


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


def test_xhtml_is_read_as_html() -> None:
    page = parsed(
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><h1>A</h1></html>'
    )
    assert page.text("h1") == "A"


def test_a_bad_selector_is_named() -> None:
    with pytest.raises(StyleFileError, match=r"item_link: 'a\[\['"):
        check_selectors(image="img", item_link="a[[", title=None)


def test_the_pages_own_encoding_reaches_texts_and_queries() -> None:
    page = parsed("<h1>髙山①</h1><a href='?q=絵'>".encode("cp932"), "text/html; charset=Shift_JIS")
    assert page.text("h1") == "髙山①"
    assert page.links("a") == ["https://example.org/wiki/list?q=%8AG"]


def test_a_page_whose_elements_are_never_closed_is_refused() -> None:
    with pytest.raises(FetchError, match=r"<div> elements are never closed \(page_too_deep\)"):
        parsed("<div>" * (MOST_OPEN_TAGS + 1))
    assert parsed("<div></div>" * MOST_OPEN_TAGS + "<p>" * MOST_OPEN_TAGS).text("h1") == ""


GALLERY = """
<h1>My gallery</h1>
<figure><a title="One" href=x><img src=1.png alt="first"></a>
<figcaption>A <b>r</b>ed fox</figcaption></figure>
<figure><picture><source srcset="2.png 9w"><img src=2s.png></picture>
<figcaption>An owl</figcaption></figure>
<figure><img src=3.png></figure>
<div><figure><img src=4.png><img src=5.png></figure><figcaption>Both</figcaption></div>
"""


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ("h1", ["My gallery"] * 5),
        (None, [""] * 5),
        (NearImage(near="figcaption"), ["A red fox", "An owl", "", "", ""]),
        (NearImage(attribute="alt"), ["first", "", "", "", ""]),
        (NearImage(near="a", attribute="title"), ["One", "", "", "", ""]),
        (NearImage(text="CC0"), ["CC0"] * 5),
        (NearImage(near="a", attribute="title", text="Some"), ["One", *["Some"] * 4]),
    ],
)
def test_a_text_may_be_the_images_own(of: TextOf, expected: list[str]) -> None:
    page = parsed(GALLERY)
    assert [page.text_of(of, image) for image in page.images("img")] == expected


def test_opt_outs_of_the_page_are_read() -> None:
    page = parsed('<META name=Robots content="NoAI, noimageai"><meta name=bot content=noindex>')
    assert page.opt_outs == {"noai", "noimageai"}
