import pytest

from styledag.collect.srcset import candidates, largest


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
        ("a.png 100w 50h, b.png 50w", "b.png"),
        ("a.png nonsense", None),
    ],
)
def test_the_largest_candidate_is_taken(srcset: str, expected: str | None) -> None:
    assert largest(srcset) == expected


def test_candidates_keep_their_descriptors() -> None:
    assert candidates("a.png 1x , b.png") == [("a.png", "1x"), ("b.png", "")]
