"""The HTML standard's algorithm, and cases of web-platform-tests' parse-a-srcset-attribute."""

import pytest

from styledag.collect.web.srcset import candidates, largest


@pytest.mark.parametrize(
    ("srcset", "expected"),
    [
        ("", None),
        (" , ", None),
        ("a.png", "a.png"),
        ("a.png 1x, b.png 2x", "b.png"),
        ("a.png 320w, b.png 1280w, c.png 640w", "b.png"),
        ("a.png, b.png 1.5x", "b.png"),
        ("a.png 3x, b.png 100w", "b.png"),
        ("a,b.png 1x, c,d.png 2x", "c,d.png"),
        ("a.png 1x,b.png 2x", "b.png"),
        ("a.png wide, b.png 1x", "b.png"),
        ("s.png 300w 200h, l.png 1200w 800h", "l.png"),
        ("l.png 800h 1200w, s.png 300w", "l.png"),
        ("w_300,c_fill/x.png 300w, w_900,c_fill/x.png 900w", "w_900,c_fill/x.png"),
        ("a.png nonsense", None),
        ("a.png 1x, b.png 1x", "a.png"),
    ],
)
def test_the_largest_candidate_is_taken(srcset: str, expected: str | None) -> None:
    assert largest(candidates(srcset)) == expected


@pytest.mark.parametrize(
    ("srcset", "urls"),
    [
        ("data:,a", ["data:,a"]),
        ("data:,a 1x, data:,b", ["data:,a", "data:,b"]),
        ("data:,a,", ["data:,a"]),
        (",data:,a", ["data:,a"]),
        ("data:,a ( , data:,b 1x, ), data:,c", ["data:,c"]),
        ("data:,a ( , data:,b 1x", []),
        ("data:,a (x", []),
        ("data:,a 1x 1x", []),
        ("data:,a 1w 1w", []),
        ("data:,a 1x 1w", []),
        ("data:,a 1h", []),
        ("data:,a 1h 1x", []),
        ("data:,a 0w", []),
        ("data:,a -1w", []),
        ("data:,a +1w", []),
        ("data:,a 1.0w", []),
        ("data:,a 1e1w", []),
        ("data:,a 0x", ["data:,a"]),
        ("data:,a -0x", ["data:,a"]),
        ("data:,a -1x", []),
        ("data:,a +1x", []),
        ("data:,a .5x", ["data:,a"]),
        ("data:,a 1.x", []),
        ("data:,a 1e+1x", ["data:,a"]),
        ("data:,a NaNx", []),
        ("data:,a Infinityx", []),
        ("data:,a x", []),
        ("data:,a w", []),
        ("data:,a \u0661w", []),
        ("data:,a\u00a01x", ["data:,a\u00a01x"]),
        ("data:,a 1x (x", []),
        ("data:,a 1w \t\n\f\r1h", ["data:,a"]),
        ("a 1x,,,b 2x", ["a", "b"]),
        ("a, , ,b", ["a", "b"]),
    ],
)
def test_candidates_are_split_as_browsers_do(srcset: str, urls: list[str]) -> None:
    assert [url for url, _ in candidates(srcset)] == urls


def test_a_megabyte_of_commas_is_read_at_once() -> None:
    assert candidates("a 1x" + ", " * 500_000) == [("a", (False, 1.0))]
