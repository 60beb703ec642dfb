"""Texts as a reader of the page sees them."""

import pytest
from selectolax.lexbor import LexborHTMLParser

from styledag.collect.web.rendered_text import plain_text, rendered_text


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("Red<br>Dragon", "Red Dragon"),
        ("Red<br/>Dragon<br><br>!", "Red Dragon !"),
        ("<b>T</b>iger", "Tiger"),
        ("T<span>i</span>g<i>e<em>r</em></i>", "Tiger"),
        ("<ul><li>Ann</li><li>Bob</li></ul>", "Ann Bob"),
        ("<p>First line</p><p>Second line</p>", "First line Second line"),
        ("<p>A tower</p><p>at night<br>in rain</p>", "A tower at night in rain"),
        ("a<div>b</div>c", "a b c"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "a b c"),
        ("<dl><dt>a<dd>b</dl>", "a b"),
        ('A. Painter<span style="display: none;">creator QS:P170,Q1</span>', "A. Painter"),
        ("A<span style='color:red;DISPLAY:NONE'>b</span>", "A"),
        ("A<span style='display:none !important'>b</span>", "A"),
        ("A<span style='visibility: hidden'>b</span>", "A"),
        ("A<span style='display:none-such'>b</span>", "Ab"),
        ("A<span hidden>b</span>c", "Ac"),
        ("A<style>p{}</style><script>x()</script><template>t</template>b", "Ab"),
        ("A<noscript>n</noscript><!-- c -->b", "Ab"),
        ("<svg><title>t</title></svg>A", "A"),
        ("Ada &amp;\n Bob &lt;x&gt;&nbsp;!", "Ada & Bob <x> !"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", "漢kan"),
        ("5 < 6 & 7 > 2", "5 < 6 & 7 > 2"),
        ("https://example.org/a.html", "https://example.org/a.html"),
        ("", ""),
        ("<", "<"),
        ("<a href='x'>Ada</a> &amp; Bob", "Ada & Bob"),
    ],
)
def test_text_is_what_a_reader_sees(html: str, expected: str) -> None:
    assert plain_text(html) == expected


@pytest.mark.parametrize("tag", ["title", "noscript", "script"])
def test_an_element_that_is_hidden_itself_gives_its_text(tag: str) -> None:
    tree = LexborHTMLParser(f"<html><head></head><body><{tag}>a b</{tag}></body>")
    element = tree.css_first(tag)
    assert element is not None
    assert rendered_text(element) == "a b"


def test_deeply_nested_elements_need_no_deep_stack() -> None:
    assert plain_text("<span>" * 5_000 + "x") == "x"
