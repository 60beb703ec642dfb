from pathlib import Path

import pytest

from styledag.bases.clip import ClipTokens
from styledag.captions.length import RememberedTokens, fill_within
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


def test_a_text_is_counted_once(tokens: ClipTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return ClipTokens.count(tokens, text)

    monkeypatch.setattr(tokens, "count", count)
    remembered = RememberedTokens(tokens)
    texts = ["a cat", "a cat", "größe 🙂 hammer's"]
    assert [remembered.count(text) for text in texts] == [4, 4, ClipTokens.count(tokens, texts[2])]
    assert counted == ["a cat", "größe 🙂 hammer's"]
    assert remembered.limit == tokens.limit


class Asked:
    """Counts letters, and what it was asked."""

    limit = 5

    def __init__(self) -> None:
        self.texts: list[str] = []

    def count(self, text: str) -> int:
        self.texts.append(text)
        return len(text)


def test_counts_are_kept_for_the_next_build(tmp_path: Path) -> None:
    file = tmp_path / "kept" / "token_counts.json"
    for texts, new in ((["a", "größe 🙂"], ["a", "größe 🙂"]), (["größe 🙂", "cat"], ["cat"])):
        asked = Asked()
        tokens = RememberedTokens(asked, version="1", file=file)
        assert [tokens.count(text) for text in texts] == [len(text) for text in texts]
        assert tokens.limit == 5
        assert asked.texts == new
        tokens.save()
    # What the last build did not use has left the file.
    asked = Asked()
    assert RememberedTokens(asked, version="1", file=file).count("a") == 1
    assert asked.texts == ["a"]


@pytest.mark.parametrize("damage", ["", "[]", '{"version": "1"}', None])
def test_counts_of_another_tokenizer_or_of_a_damaged_file_are_not_used(
    tmp_path: Path, damage: str | None
) -> None:
    file = tmp_path / "token_counts.json"
    before = RememberedTokens(Asked(), version="1", file=file)
    before.count("a")
    before.save()
    if damage is not None:
        file.write_text(damage)
    asked = Asked()
    tokens = RememberedTokens(asked, version="2" if damage is None else "1", file=file)
    assert tokens.count("a") == 1
    assert asked.texts == ["a"]


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
