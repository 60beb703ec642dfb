import pytest

from styledag.collect.web.originals import original_url, uploaded_url

UPLOADS = "https://upload.wikimedia.org/wikipedia/commons"
THUMBNAILS = "https://thumb.wikimedia.org/wikipedia/commons"
WORDPRESS = "https://x.org/wp-content/uploads"
NEXT = "https://x.org/img/fox.jpg"
FANDOM = "https://static.wikia.nocookie.net/x/images/a/ab/A.png/revision/latest"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{UPLOADS}/thumb/a/a9/A_b.png/200px-A_b.png", f"{UPLOADS}/a/a9/A_b.png"),
        (f"{UPLOADS}/thumb/a/a9/A.jpg/lossy-page1-200px-A.tif.jpg", f"{UPLOADS}/a/a9/A.jpg"),
        (
            f"{UPLOADS}/thumb/a/a9/A.svg/200px-A.svg.png",
            f"{UPLOADS}/thumb/a/a9/A.svg/200px-A.svg.png",
        ),
        (f"{THUMBNAILS}/thumb/a/a9/A.png/250px-A.png", f"{UPLOADS}/a/a9/A.png"),
        (
            f"{THUMBNAILS}/thumb/a/a9/A.svg/250px-A.svg.png",
            f"{THUMBNAILS}/thumb/a/a9/A.svg/250px-A.svg.png",
        ),
        (f"{UPLOADS}/a/a9/A.png", f"{UPLOADS}/a/a9/A.png"),
        ("https://x.org/w/images/thumb/A.png/9px-A.png?1", "https://x.org/w/images/A.png"),
        ("https://x.org/thumb/cat.png", "https://x.org/thumb/cat.png"),
        (f"{FANDOM}/scale-to-width-down/200?cb=1", f"{FANDOM}?cb=1&format=original"),
        (f"{FANDOM}/smart/width/40/height/30?cb=1", f"{FANDOM}?cb=1&format=original"),
        (FANDOM, f"{FANDOM}?format=original"),
        ("https://x.org/a.png?width=9", "https://x.org/a.png?width=9"),
        (f"{WORDPRESS}/2020/01/fox-300x200.jpg", f"{WORDPRESS}/2020/01/fox.jpg"),
        (f"{WORDPRESS}/sites/2/fox-9x16-150x150.jpg?x=1", f"{WORDPRESS}/sites/2/fox-9x16.jpg?x=1"),
        (f"{WORDPRESS}/2020/01/fox-scaled.jpg", f"{WORDPRESS}/2020/01/fox-scaled.jpg"),
        ("https://x.org/files/fox-300x200.jpg", "https://x.org/files/fox-300x200.jpg"),
        (
            "https://i0.wp.com/x.org/wp-content/uploads/fox-300x200.jpg?resize=30%2C20&ssl=1",
            f"{WORDPRESS}/fox.jpg",
        ),
        (f"{WORDPRESS}/fox.jpg?x=1&w=640&h=480", f"{WORDPRESS}/fox.jpg?x=1"),
        (
            "https://x.files.wordpress.com/2020/01/fox.jpg?w=1024",
            "https://x.files.wordpress.com/2020/01/fox.jpg",
        ),
        (
            "https://x.org/lib/exe/fetch.php?w=300&tok=20276f&media=art:fox.jpg",
            "https://x.org/lib/exe/fetch.php?media=art:fox.jpg",
        ),
        ("https://x.org/_media/art/fox.jpg?w=300&tok=20276f", "https://x.org/_media/art/fox.jpg"),
        ("https://x.org/_next/image?url=%2Fimg%2Ffox.jpg%3Fv%3D1&w=64&q=75", f"{NEXT}?v=1"),
        ("https://x.org/_next/image?url=https%3A%2F%2Fy.org%2Fa.jpg&w=64", "https://y.org/a.jpg"),
        ("https://x.org/_next/image?w=64", "https://x.org/_next/image?w=64"),
        ("https://x.org/cdn-cgi/image/width=80,format=auto/img/fox.jpg?v=1", f"{NEXT}?v=1"),
        ("https://x.org/cdn-cgi/image/w=80/https://y.org/a.jpg", "https://y.org/a.jpg"),
    ],
)
def test_a_thumbnail_leads_to_its_original(url: str, expected: str) -> None:
    assert original_url(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{FANDOM}?cb=1", f"{FANDOM}?cb=1&format=original"),
        (f"{FANDOM}?cb=1&format=original", f"{FANDOM}?cb=1&format=original"),
        (f"{UPLOADS}/a/a9/A.png", f"{UPLOADS}/a/a9/A.png"),
    ],
)
def test_fandoms_images_are_asked_for_as_uploaded(url: str, expected: str) -> None:
    assert uploaded_url(url) == expected


def test_a_scaled_image_of_no_address_stays_as_it_is() -> None:
    url = "https://x.org/_next/image?url=http://[my site]/fox.jpg&w=64"
    assert original_url(url) == url
