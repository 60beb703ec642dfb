"""One self-contained page that shows images with their captions, worst first."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

from styledag.captions.review.worst import ReviewedCaption
from styledag.store.artifact import Facts
from styledag.templates import templates

_FOLDER = Path(__file__).parent
_MOST_BYTES = 20_000


def captions_page(
    style: str,
    captions: Sequence[ReviewedCaption],
    facts: Facts,
    jpeg: Callable[[str], bytes],
    *,
    left_out: int,
) -> str:
    """Return the page as HTML, in which nothing runs and nothing is loaded from outside."""
    from markupsafe import Markup

    look = (_FOLDER / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(look.encode()).digest()).decode()
    template = templates(_FOLDER).get_template("page.html.j2")
    return template.render(
        style=style,
        captions=captions,
        sources={
            name.removeprefix("source_"): count
            for name, count in facts.items()
            if name.startswith("source_") and count
        },
        facts=facts,
        image=lambda sha256: f"data:image/jpeg;base64,{_thumbnail(jpeg(sha256))}",
        left_out=left_out,
        look=Markup(look),
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'",
    )


def _thumbnail(content: bytes) -> str:
    from PIL import Image

    from styledag.small_jpeg import thumbnail_jpeg

    if len(content) > _MOST_BYTES:
        with Image.open(BytesIO(content), formats=["JPEG"]) as image:
            content = thumbnail_jpeg(image, _MOST_BYTES)
    return base64.b64encode(content).decode()
