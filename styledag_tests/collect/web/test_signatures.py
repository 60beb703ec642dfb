"""A signature is no part of what an image is called; all else of an address stays."""

import pytest

from styledag.collect.web.signatures import without_signature

PATREON = "https://c10.patreonusercontent.com/1.png"
TIKTOK = "https://p16.tiktokcdn.com/1.jpeg"
COS = "https://b-125.cos.ap-guangzhou.myqcloud.com/a.png"
AKAMAI = "https://x.akamaized.net/a.jpg"
WIXMP = "https://images-wixmp-ed30.wixmp.com/f/a.png"
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
        ("https://c10.patreonusercontent.com/1.png?token-hash=a&token-time=17", PATREON),
        ("https://p16.tiktokcdn.com/1.jpeg?x-expires=17&x-signature=a%3D", TIKTOK),
        (
            f"{COS}?q-sign-algorithm=sha1&q-ak=A&q-sign-time=1%3B2&q-key-time=1%3B2"
            "&q-header-list=host&q-url-param-list=&q-signature=a&imageMogr2/thumbnail/500x",
            f"{COS}?imageMogr2/thumbnail/500x",
        ),
        ("https://x.akamaized.net/a.jpg?w=9&hdnts=exp=1~acl=/*~hmac=ab", f"{AKAMAI}?w=9"),
        ("https://images-wixmp-ed30.wixmp.com/f/a.png?token=eyJ0.e.Q", WIXMP),
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
        "https://a.org/a.png?token=red&e=1",
        "https://wixmp.com.example/a.png?token=1",
        "https://a.org/pic.php?id=5&se=3",
        "http://[bad/a.png?ex=1&is=2&hm=3",
    ],
)
def test_what_is_not_signed_stays(url: str) -> None:
    assert without_signature(url) == url
