import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

from PIL import Image

from styledag.captions.facts import caption_facts
from styledag.captions.review.page import captions_page
from styledag.captions.review.worst import worst_first
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import HOSTILE, captioned_image


class Words:
    limit = 77

    def count(self, text: str) -> int:
        return len(text.split())

    def backends(self) -> tuple[()]:
        return ()


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.images: list[bytes] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        source = dict(attributes).get("src")
        if source:
            self.images.append(base64.b64decode(source.partition(",")[2]))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_every_image_beside_its_caption_in_order(workspace: Workspace) -> None:
    rows = [captioned_image(workspace, number) for number in range(3)]
    rows[1] = replace(rows[1], caption=HOSTILE, raw_caption=HOSTILE)
    facts = caption_facts(Manifest(tuple(rows)), Words())
    order = worst_first(rows, {row.key: -number for number, row in enumerate(rows)})

    html = captions_page("a<b", order, facts, workspace.blobs.read, left_out=7)

    page = Page(html)
    assert "script" not in page.tags
    assert page.images == [workspace.blobs.read(each.row.key) for each in order]
    assert HOSTILE.replace("\x00", "\ufffd") in page.text or HOSTILE in page.text
    found = [page.text.index(row.image.origin.url) for row in rows]
    assert found == sorted(found, reverse=True)
    assert "7 more are not shown" in page.text
    assert "similarity -2.000" in page.text
    assert "there is a number 0" in page.text
    assert re.search(r"default-src 'none'", html.replace("&#39;", "'"))


def test_a_large_image_is_made_small(workspace: Workspace) -> None:
    buffer = BytesIO()
    Image.effect_noise((900, 900), 80).convert("RGB").save(buffer, "JPEG", quality=95)
    row = captioned_image(workspace, 1, sha256=workspace.blobs.put(buffer.getvalue()))
    facts = caption_facts(Manifest((row,)), Words())

    html = captions_page(
        "x", worst_first([row], {row.key: 0.0}), facts, workspace.blobs.read, left_out=0
    )

    (shown,) = Page(html).images
    assert len(shown) <= 20_000
    with Image.open(BytesIO(shown)) as image:
        assert image.width >= 64


def test_no_caption_is_a_page_too() -> None:
    empty = caption_facts(Manifest(()), Words())
    assert "0, and 0 images left out" in Page(captions_page("x", [], empty, bytes, left_out=0)).text
