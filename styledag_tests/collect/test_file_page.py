"""Licence, author and description from files' pages as wikis have them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styledag.collect.file_page import FilePage, read_file_page

COMMONS = """=={{int:filedesc}}==
{{Information
|description={{en|1=A [[fox]]}}
|date=2020-01-01
|source={{own}}
|author=[[User:Ann|Ann]]
|permission=
}}
=={{int:license-header}}==
{{self|cc-by-sa-4.0|GFDL|author=Ann}}

[[Category:Foxes]]
[[Category:Red|Fox]]
"""
UPLOAD_FORM = """== Summary ==
A fox in ''winter''
== Licensing ==
{{Fairuse}}
"""


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        (COMMONS, FilePage("A fox", "Ann", "cc-by-sa-4.0, GFDL")),
        (UPLOAD_FORM, FilePage("A fox in winter", "", "Fairuse")),
        ("A fox", FilePage("A fox")),
        ("", FilePage()),
        ("[[Category:Foxes]] [[Kategorie:Rot|x]]", FilePage()),
        ("A fox\n[[Category:Foxes]]\n[[de:Datei:X.png]]", FilePage("A fox")),
        ("{{CC-BY-4.0}}\n[[Category:Foxes]]", FilePage(licence="CC-BY-4.0")),
        ("{{PD-self}}{{Cleanup}}", FilePage(licence="PD-self")),
        ("{{Cleanup}}", FilePage()),
        ("{{Info|Artist=Bob|License=CC0}}", FilePage("", "Bob", "CC0")),
        ("{{Info|permission={{cc-zero}}}}", FilePage(licence="cc-zero")),
        ("== Lizenz ==\nGemeinfrei", FilePage(licence="Gemeinfrei")),
        ("== Lizenz ==\n== Text ==\nEin Fuchs", FilePage("Ein Fuchs")),
        ("== Licensing ==\n{{License|CC BY 4.0}}", FilePage(licence="CC BY 4.0")),
        ("== Licensing ==\n{{Non-free|x={{CC0}}}}", FilePage(licence="Non-free")),
        ("== License ==\n{{Dual|a|a}}", FilePage(licence="a")),
        ("== Open ==\n{{Information|author=", FilePage("{{Information|author=")),
    ],
)
def test_a_page_says_what_a_reader_finds_on_it(wikitext: str, expected: FilePage) -> None:
    assert read_file_page(wikitext) == expected


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet="=={}[]|\n Licensing", max_size=200))
def test_any_page_is_read(text: str) -> None:
    found = read_file_page(text)
    for words in (found.description, found.author):
        assert words == " ".join(words.split())
