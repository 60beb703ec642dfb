from styledag.sampling.lettering import label_font, wrapped


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
