import pytest

from styledag.sampling.index import prompt_folders
from styledag.sampling.lettering import label_font, prompt_labels, wrapped


def test_lines_fit_the_width_and_lose_no_word() -> None:
    font, text = label_font(14), "a very small dog that sits on a green hill under the moon"
    lines = wrapped(text, font, 120, 20)
    assert " ".join(lines) == text
    assert len(lines) > 2
    assert all(font.getlength(line) <= 120 for line in lines)


def test_a_word_wider_than_the_line_is_broken() -> None:
    font = label_font(14)
    lines = wrapped("x" * 100, font, 80, 50)
    assert "".join(lines) == "x" * 100
    assert all(font.getlength(line) <= 80 for line in lines)


def test_what_finds_no_room_ends_in_an_ellipsis() -> None:
    font = label_font(14)
    lines = wrapped("word " * 100, font, 100, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert font.getlength(lines[-1]) <= 100


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("a red fox, “quoted”", "a red fox, “quoted”"),
        ("café à l'Ångström", "cafe a l'Angstrom"),
        ("e\N{COMBINING ACUTE ACCENT}te\N{COMBINING ACUTE ACCENT}", "ete"),
        ("🦊 fox — in snow", "fox - in snow"),
        ("👩\N{ZERO WIDTH JOINER}🍳 cook", "cook"),
        ("猫の絵", "prompt 1"),
        ("кот", "prompt 1"),
        ("a 猫", "prompt 1"),
        ("🦊", "prompt 1"),
        ("", "prompt 1"),
    ],
)
def test_a_label_has_no_boxes_in_place_of_letters(prompt: str, label: str) -> None:
    assert prompt_labels([prompt]) == [label]
    font = label_font(16)
    box = bytes(font.getmask("\U0010ffff"))
    assert not [char for char in label if not char.isspace() and bytes(font.getmask(char)) == box]


def test_a_prompt_without_a_label_has_the_number_of_its_folder() -> None:
    prompts = ["a fox", "猫", "кот"]
    assert prompt_labels(prompts) == ["a fox", "prompt 2", "prompt 3"]
    assert list(prompt_folders(prompts).values()) == ["a-fox-01", "prompt-02", "prompt-03"]
