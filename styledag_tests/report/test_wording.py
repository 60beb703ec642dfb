import math

import pytest

from styledag.report.wording import number, percent, plain, setting, web_address


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a  fox\n\tin snow", "a fox in snow"),
        ("nul\x00l", "nul l"),
        ("evil\u202egpj.exe", "evil gpj.exe"),
        ("lone \ud83d half", "lone half"),
        ("موجة 🌊", "موجة 🌊"),
        ("", ""),
    ],
)
def test_plain_keeps_words_and_drops_controls(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_plain_cuts_and_says_so() -> None:
    assert plain("word " * 10_000, 20) == "word word word word…"
    assert len(plain("x" * 10_000_000)) == 400
    assert plain("x" * 400) == "x" * 400


@pytest.mark.parametrize(
    "url", ["http://example.org", "https://example.org/a?b=c#d", "http://127.0.0.1:8000/wiki/x"]
)
def test_web_addresses_pass(url: str) -> None:
    assert web_address(url) == url


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.12345, "0.123"),
        (-0.5, "\N{MINUS SIGN}0.500"),
        (-0.0001, "0.000"),
        (None, "\N{EN DASH}"),
        (math.nan, "\N{EN DASH}"),
    ],
)
def test_number(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_percent_and_settings_read_as_a_person_writes_them() -> None:
    assert percent(0.8) == "80%"
    assert percent(None) == "\N{EN DASH}"
    assert [setting(value) for value in (True, None, 1e-4, 3, (0.5, 1.0))] == [
        "yes",
        "none",
        "0.0001",
        "3",
        "0.5, 1",
    ]
