"""Texts in cells and JSON mean what people meant by them, or are refused by name."""

from typing import Any

import pytest

from styledag.collect.written_texts import AlikeNames, cell_text, decoded_text, text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (True, ""),
        (42, "42"),
        ("a fox", "a fox"),
        ("a fox \ud83e", "a fox \ufffd"),
        (["\udd8a fox", "solo"], "\ufffd fox, solo"),
        (b"a fox", "a fox"),
        ([], ""),
        ([None, "", "a red fox in the snow", "a fox"], "a red fox in the snow"),
        (["the first", "the second"], "the first"),
        (["1girl", "long hair", "solo"], "1girl, long hair, solo"),
        ([["fox"], ["snow"]], "fox, snow"),
    ],
)
def test_a_value_is_the_text_that_it_means(value: Any, text: str) -> None:
    assert text_of(value) == text
    assert cell_text({"a": value}, "a") == text
    assert cell_text({}, "a") == ""


@pytest.mark.parametrize("value", [{"en": "a fox"}, [{"en": "a fox"}], b"\xff\xff"])
def test_what_is_no_text_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match=r"column 'a': .*name a column of texts"):
        cell_text({"a": value}, "a")


def test_a_byte_order_mark_decides_the_encoding() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert decoded_text("caf\u00e9".encode(encoding)) == "caf\u00e9"
    with pytest.raises(ValueError, match="byte 3 is no UTF-8"):
        decoded_text(b"caf\xe9")


def test_a_name_is_found_unless_several_are_alike() -> None:
    names = AlikeNames(["a/Caf\u00e9.png", "fox.png", "Fox.png"])
    assert names.find("a/cafe\u0301.PNG") == "a/Caf\u00e9.png"
    assert names.find("fox.png") == "fox.png"
    assert names.find("FOX.png") is None
    assert names.find("owl.png") is None


def test_lines_of_a_caption_stay_apart_in_a_cell_and_of_other_texts_do_not() -> None:
    row = {"text": " a  fox \r\n\n\tan owl\n"}
    assert cell_text(row, "text", in_lines=True) == "a fox\nan owl"
    assert cell_text(row, "text") == "a fox an owl"
