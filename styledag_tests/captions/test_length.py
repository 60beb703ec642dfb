from pathlib import Path

import pytest

from styledag.bases.texts.clip import ClipTokens
from styledag.captions.length import fill_within
from styledag.errors import ModelError, StyleFileError


@pytest.fixture(scope="module")
def tokens(starter: Path) -> ClipTokens:
    return ClipTokens(starter / "stable-diffusion")


def test_tokens_are_what_the_pipeline_counts(tokens: ClipTokens, starter: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(starter / "stable-diffusion" / "tokenizer")
    for text in ("", "a cat", "größe 🙂 hammer's"):
        assert tokens.count(text) == len(tokenizer(text).input_ids)
    assert tokens.limit == 77


def test_what_fits_stays_whole(tokens: ClipTokens) -> None:
    assert fill_within("{caption}, in a style", {"caption": "a cat"}, tokens) == (
        "a cat, in a style",
        False,
    )
    fitting = " ".join(["cat"] * 75)
    assert fill_within("{caption}", {"caption": fitting}, tokens) == (fitting, False)


def test_cut_takes_the_longest_run_of_words_and_keeps_the_template(tokens: ClipTokens) -> None:
    caption, cut = fill_within(
        "a drawing of {caption}, red", {"caption": " ".join(["cat"] * 10_000)}, tokens
    )
    assert cut
    assert caption == f"a drawing of {' '.join(['cat'] * 70)}, red"
    assert tokens.count(caption) == 77


def test_word_without_end_is_cut_inside(tokens: ClipTokens) -> None:
    caption, cut = fill_within("{caption}", {"caption": "日" * 5_000}, tokens)
    assert cut
    assert set(caption) == {"日"}
    assert tokens.count(caption) <= 77 < tokens.count(caption + "日")


def test_caption_that_holds_the_mark_is_text(tokens: ClipTokens) -> None:
    assert (
        fill_within("{caption} x", {"caption": "a {caption} {0}"}, tokens)[0] == "a {caption} {0} x"
    )


def test_template_without_room_is_the_styles_fault(tokens: ClipTokens) -> None:
    with pytest.raises(StyleFileError, match="leaves no room"):
        fill_within("red " * 80 + "{caption}", {"caption": "a cat"}, tokens)


def test_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=str(tmp_path)):
        ClipTokens(tmp_path).count("a cat")


def test_other_fields_are_cut_before_the_caption(tokens: ClipTokens) -> None:
    template = "{caption}[ by {author}][, {description}]"
    values = {"caption": "a cat", "author": "Ann", "description": "cat " * 10_000}
    caption, cut = fill_within(template, values, tokens)
    assert cut
    assert caption == "a cat by Ann, " + " ".join(["cat"] * 50)
    long = {**values, "caption": " ".join(["cat"] * 70)}
    assert fill_within(template, long, tokens) == (long["caption"], True)
