"""A signature is no part of what an image is called; all else of an address stays."""

import pytest

from styledag.collect.web.signatures import without_signature

FRONT = "https://d1.cloudfront.net/a.png"
BLOB = "https://x.blob.core.windows.net/c/a.png"
S3 = "https://b.s3.amazonaws.com/a.png"


@pytest.mark.parametrize(
    ("url", "lasting"),
    [
        (f"{S3}?X-Amz-Date=1&v=2&X-Amz-Expires=300&X-Amz-Signature=ab", f"{S3}?v=2"),
        (f"{S3}?AWSAccessKeyId=A&Expires=17&Signature=x%3D", S3),
        ("https://d1.cloudfront.net/a.png?Policy=x&Signature=y&Key-Pair-Id=K", FRONT),
        ("https://x.blob.core.windows.net/c/a.png?sv=1&st=2&se=3&sr=b&sp=r&sig=z", BLOB),
        (
            "https://cdn.discordapp.com/a/1/a.png?ex=1&is=2&hm=3&",
            "https://cdn.discordapp.com/a/1/a.png?",
        ),
        ("https://a.org/a.png?token=abc&expires=17&width=800", "https://a.org/a.png?width=800"),
    ],
)
def test_a_signature_is_left_out(url: str, lasting: str) -> None:
    assert without_signature(url).rstrip("?") == lasting.rstrip("?")
    assert without_signature(lasting) == lasting


@pytest.mark.parametrize(
    "url",
    [
        "https://a.org/a.png",
        "https://a.org/a.png?ex=1&is=2&hm=3",
        "https://a.org/a.png?signature=red&page=2",
        "https://a.org/a.png?expires=1",
        "https://a.org/pic.php?id=5&se=3",
        "http://[bad/a.png?ex=1&is=2&hm=3",
    ],
)
def test_what_is_not_signed_stays(url: str) -> None:
    assert without_signature(url) == url
