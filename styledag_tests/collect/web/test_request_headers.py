"""A source's own headers, cookies and secrets go where they belong and nowhere else."""

from dataclasses import replace
from pathlib import Path

import pytest

from styledag.collect.settings import FetchSettings, HtmlSource
from styledag.collect.web.request_headers import RequestHeaders
from styledag.errors import StyleFileError
from styledag.settings import settings_identity

COOKIES = """\
# Netscape HTTP Cookie File
.example.org	TRUE	/	FALSE	0	session	abc
example.org	FALSE	/only	TRUE	4102444800	deep	def
"""


def headers(tmp_path: Path, **changes: object) -> RequestHeaders:
    settings = replace(FetchSettings(contact="me@x.org"), **changes)  # type: ignore[arg-type]
    return RequestHeaders(settings, hosts=["example.org"], project=tmp_path)


def test_an_environment_variable_is_filled_in_for_the_sources_own_hosts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIKI_TOKEN", "s3cret")
    made = headers(tmp_path, headers={"Authorization": "Bearer ${WIKI_TOKEN}"})
    for url in ("https://example.org/a", "https://cdn.example.org/a"):
        assert made.of(url)["Authorization"] == "Bearer s3cret"
    for url in ("https://example.com/", "https://notexample.org/", "https://example.org.evil.x/"):
        assert "Authorization" not in made.of(url)


def test_secrets_are_no_part_of_what_decides_content() -> None:
    fetch = FetchSettings(headers={"Authorization": "${TOKEN}"}, cookies="c.txt", user_agent="x")
    source = HtmlSource(type="html", start=("https://example.org/",), fetch=fetch)
    plain = HtmlSource(type="html", start=("https://example.org/",))
    assert settings_identity(source) == settings_identity(plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"headers": {"X": "${NO_SUCH_VARIABLE}"}}, "X needs the environment variable NO_SUCH"),
        ({"headers": {"Host": "x"}}, "Host cannot be set"),
        ({"headers": {"X": "a\r\nb"}}, "X holds a line end"),
        ({"cookies": "missing.txt"}, r"missing.txt is no readable file of cookies"),
    ],
)
def test_what_cannot_be_sent_is_named(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(StyleFileError, match=message):
        headers(tmp_path, **changes)


def test_cookies_go_where_their_file_says(tmp_path: Path) -> None:
    (tmp_path / "cookies.txt").write_text(COOKIES)
    made = headers(tmp_path, cookies="cookies.txt")
    assert made.of("https://www.example.org/a")["Cookie"] == "session=abc"
    assert made.of("https://example.org/only")["Cookie"] in (
        "deep=def; session=abc",
        "session=abc; deep=def",
    )
    assert made.of("http://example.org/only")["Cookie"] == "session=abc"
    assert "Cookie" not in made.of("https://example.com/")


@pytest.mark.parametrize(
    ("line", "asked", "cookie"),
    [
        (
            "example.org	TRUE	/	FALSE	4102444800	a	1",
            "http://www.example.org/",
            "a=1",
        ),
        (
            ".example.org	FALSE	/	FALSE	4102444800	a	1",
            "http://www.example.org/",
            "a=1",
        ),
        (
            "example.org	FALSE	/	FALSE	4102444800	a	1",
            "http://www.example.org/",
            None,
        ),
        (
            "#HttpOnly_.example.org	TRUE	/	TRUE	0	a	1",
            "https://example.org/",
            "a=1",
        ),
        (".example.org	true	/	true	-1	a	1", "https://example.org/", "a=1"),
        (".example.org	true	/	true		a	1", "http://example.org/", None),
        (
            ".example.org	TRUE	/	FALSE	1893456000.25	a	1",
            "http://example.org/",
            "a=1",
        ),
        (".example.org	TRUE	/	FALSE	4102444800	a	", "http://example.org/", "a="),
        (".example.org	TRUE	/	FALSE	4102444800	a", "http://example.org/", "a="),
        (".example.org	TRUE	/	FALSE	1000000000	a	1", "http://example.org/", None),
        ("localhost	FALSE	/	FALSE	0	a	1", "http://localhost:8080/", "a=1"),
    ],
)
@pytest.mark.parametrize("head", ["", "\ufeff# HTTP Cookie File\r\n\r\n", "# Exported by x\n"])
def test_cookies_are_read_as_browsers_extensions_write_them(
    tmp_path: Path, head: str, line: str, asked: str, cookie: str | None
) -> None:
    (tmp_path / "cookies.txt").write_text(f"{head}{line}\n", encoding="utf-8")
    assert headers(tmp_path, cookies="cookies.txt").of(asked).get("Cookie") == cookie


@pytest.mark.parametrize(
    "content",
    ['[{"name": "a"}]', "a=1; b=2", ".x.org	TRUE	/	TRUE	soon	a	1", "<html>"],
)
def test_a_file_of_another_format_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "cookies.txt").write_text(content)
    with pytest.raises(StyleFileError, match=r"cookies\.txt is no readable file of cookies"):
        headers(tmp_path, cookies="cookies.txt")


def test_the_user_agent_and_the_referer_can_be_set(tmp_path: Path) -> None:
    page = "https://example.org/wiki/page?id=1"
    made = headers(tmp_path).of("https://example.org/a.png", referer=page)
    assert made["Referer"] == page
    assert made["User-Agent"].startswith("styledag/")
    assert made["User-Agent"].endswith("(+me@x.org)")
    other = headers(tmp_path).of("https://cdn.example.org/a.png", referer=page)
    assert other["Referer"] == "https://example.org/"
    quiet = headers(tmp_path, referer=False, user_agent="Mine/1").of("http://x.org/", referer=page)
    assert quiet == {"User-Agent": "Mine/1"}


def test_a_host_is_the_sources_own_however_it_is_spelt(tmp_path: Path) -> None:
    settings = FetchSettings(headers={"X": "1"})
    made = RequestHeaders(settings, hosts=["bücher.example"], project=tmp_path)
    for url in ("https://bücher.example/", "https://xn--bcher-kva.example/a.png"):
        assert made.of(url)["X"] == "1"
