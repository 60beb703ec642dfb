"""model_report: one HTML file with everything in it."""

from pathlib import Path

from styledag.errors import DataError, StorageError
from styledag.report.images import Album, embed
from styledag.report.model import ModelReport
from styledag.report.page import render
from styledag.report.shown import wanted_animations, wanted_stills
from styledag.store.artifact import Facts

CODE_VERSION = "9"
PAGE = "report.html"
MAX_BYTES = 15_000_000
"""Size that the page stays under; images are scaled down, then left out, to reach it."""

_STILLS_SHARE = 0.6
_MARGIN_BYTES = 100_000


def write_report(report: ModelReport, folder: Path) -> Facts:
    """Write the page ``report.html`` into a folder and return what there is to say of it.

    The same report gives the same bytes. Nothing in it is fetched from elsewhere, and text from
    scraped pages is shown as text.

    Returns:
        ``size_bytes``; ``images`` and ``animations`` shown; ``left_out``, how many found no
        room; ``side_px``, the longer side at most of recompressed images, 0 where none was.

    Raises:
        StorageError: If an image is missing or unreadable, or the page cannot be written.
        DataError: If the text alone is larger than the page may be.
    """
    wanted, moving = wanted_stills(report), wanted_animations(report)
    room = MAX_BYTES - _MARGIN_BYTES - len(render(report, Album(), Album()).encode())
    if room < 0:
        raise DataError(
            f"the report of {report.model} is over {MAX_BYTES} bytes without an image; "
            f"ask for fewer prompts or weights in the style file"
        )
    share = _STILLS_SHARE if moving else 1.0
    stills = embed(wanted, int(share * room))
    animations = embed(moving, room - stills.size_bytes)
    content = render(report, stills, animations).encode()
    try:
        (folder / PAGE).write_bytes(content)
    except OSError as exc:
        raise StorageError(f"{folder / PAGE} cannot be written: {exc.strerror}") from exc
    sides = [side for side in (stills.side_px, animations.side_px) if side is not None]
    return {
        "size_bytes": len(content),
        "images": len(stills.images),
        "animations": len(animations.images),
        "left_out": stills.left_out + animations.left_out,
        "side_px": min(sides, default=0),
    }
