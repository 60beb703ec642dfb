import html
import string

import pytest
from markdown_it import MarkdownIt

from styledag.dataset.markdown import MOST_LETTERS, escape_markdown


@pytest.mark.parametrize("sign", list(string.punctuation))
def test_every_sign_is_shown_as_it_is(sign: str) -> None:
    for text in (f"a{sign}b", f"{sign} {sign}a{sign}", f"{sign * 3}"):
        shown = MarkdownIt("commonmark").enable("table").render(escape_markdown(text))
        assert shown == f"<p>{html.escape(text).replace('&#x27;', chr(39))}</p>\n"


def test_words_of_any_script_stay_on_one_line() -> None:
    assert escape_markdown("Größe\n\n日本 שלום\u202e\x00") == "Größe 日本 שלום"


def test_addresses_become_no_links() -> None:
    escaped = escape_markdown("https://evil.example www.evil.example")
    assert "://" not in escaped
    assert "www." not in escaped


def test_long_text_is_cut_before_it_is_escaped() -> None:
    assert escape_markdown("|" * 10_000) == "\\|" * (MOST_LETTERS - 1) + "…"


def test_numbers_stay() -> None:
    assert escape_markdown(7) == 7
