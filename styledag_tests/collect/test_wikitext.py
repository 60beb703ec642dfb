"""Wikitext's templates, words and captions, as MediaWiki shows them."""

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styledag.collect.wikitext import file_name, gallery_captions, templates, wikitext_words


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("{{CC0}}", [("CC0", {})]),
        ("{{ self | cc-by | GFDL }}", [("self", {"1": "cc-by", "2": "GFDL"})]),
        ("{{a|Author = x=y |2=z}}", [("a", {"author": "x=y", "2": "z"})]),
        ("{{a|b=[[C|d]]}}", [("a", {"b": "[[C|d]]"})]),
        ("{{a|b={{c|d|e=f}}}}", [("a", {"b": "{{c|d|e=f}}"}), ("c", {"1": "d", "e": "f"})]),
        ("{{a|b\n|c=\n}}", [("a", {"1": "b", "c": ""})]),
        ("{{open {{a}}", [("a", {})]),
        ("{{a|[[open}} {{b}}", [("a", {"1": "[[open"}), ("b", {})]),
        ("}} ]] | {{a}}", [("a", {})]),
        ("{{a|http://x.org/?y=z}}", [("a", {"1": "http://x.org/?y=z"})]),
        ("none", []),
    ],
)
def test_templates_are_found_with_their_parameters(
    wikitext: str, expected: list[tuple[str, dict[str, str]]]
) -> None:
    assert [(each.name, dict(each.values)) for each in templates(wikitext)] == expected


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("A ''red'' '''fox'''", "A red fox"),
        ("[[User:Ann|Ann]] &amp; [[Bob]]", "Ann & Bob"),
        ("[https://x.org Carl] [https://y.org]", "Carl"),
        ("A fox<ref name=a>no</ref><ref name=a/><!-- no -->", "A fox"),
        ("{{en|1=A {{w|fox}}}}{{de|Ein Fuchs}}", "A foxEin Fuchs"),
        ("{{zh-hans|1=狐}}", "狐"),
        ("{{Creator:Vincent van Gogh}}", "Vincent van Gogh"),
        ("{{own}}", ""),
        ("{{cite|x|{{y}}}} A<br>B", "A B"),
    ],
)
def test_words_are_those_that_a_reader_sees(wikitext: str, expected: str) -> None:
    assert wikitext_words(wikitext) == expected


def test_captions_of_galleries() -> None:
    text = (
        "<gallery mode=packed>\nFile:fox_red.png|A '''red''' [[Fox|fox]], <b>s</b>itting|alt=x\n"
        "Image:Owl.png\nElk.png|link=Elk|Two | elks {{c}}\n</gallery>"
        "<!-- <gallery>\nFile:Owl.png|no\n</gallery> -->"
    )
    assert gallery_captions(text) == {"Fox red.png": "A red fox, sitting", "Elk.png": "Two | elks"}


def test_names_are_spelt_as_the_wiki_spells_them() -> None:
    assert file_name("Datei:fox_red  x.png") == "Fox red x.png"


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet="{}[]|=ab<>!-\n'", max_size=200))
def test_any_text_is_read(text: str) -> None:
    for template in templates(text):
        assert text[template.start : template.end].startswith("{{")
        assert text[: template.end].endswith("}}")
    wikitext_words(text)
    gallery_captions(f"<gallery>{text}</gallery>")


@pytest.mark.parametrize(
    "text",
    ["{{a|" * 20_000, "{{a}}" * 20_000, "{{" * 10_000 + "}}" * 10_000, "[[a|" * 20_000,
     "<gallery>" * 5_000, "<!--" * 20_000, "[http://" * 20_000, "<ref" * 10_000,
     string.whitespace * 10_000],
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    before = time.process_time()
    templates(text)
    gallery_captions(text)
    wikitext_words(text)
    assert time.process_time() - before < 10
