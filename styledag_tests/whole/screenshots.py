"""Makes the documentation's images of the web UI, by a real browser on a small project.

Usage: python -m styledag_tests.whole.screenshots FOLDER
"""

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from styledag.demo.wiki import serve_wiki
from styledag_tests.whole.browser import Browser, browsing
from styledag_tests.whole.small_project import CATEGORIES, MODEL, STYLE, edit, make_project
from styledag_tests.whole.test_browser import PORT, WAIT_S, backfills
from styledag_tests.whole.test_web_ui import StyledagUi, eventually

WIDTH_PX, COLOURS = 1100, 256
"""A palette makes an image of a page a third as large, and nobody sees it."""
REPOSITORY = Path(__file__).parents[2]


def main(folder: Path) -> None:
    """Write every image into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as root, serve_wiki(port=0, categories=CATEGORIES) as wiki:
        project = make_project(Path(root), REPOSITORY / "data" / "starter", wiki.url)
        shutil.copy(REPOSITORY / "workspace.yaml", root)
        edit(project, "description: A", "refresh: 0 3 * * *\ndescription: A")
        ui = StyledagUi(Path(root), PORT)
        ui.start()
        try:
            with browsing(f"http://127.0.0.1:{PORT}") as browser:
                browser.materialise_everything()
                eventually(lambda: backfills(ui) == ["COMPLETED_SUCCESS"], "all is made", WAIT_S)
                looked_again = ui.launch(["raw_images", "jpeg_images"], STYLE)
                eventually(lambda: ui.status(looked_again) == "SUCCESS", "sources were read again")
                command = [sys.executable, "-m", "styledag", "run", STYLE, "--to", "image_dataset"]
                subprocess.run(command, cwd=root, check=True)
                for name, show in PAGES.items():
                    show(browser)
                    (folder / f"{name}.png").write_bytes(_small(browser))
        finally:
            ui.interrupt()


def _graph(browser: Browser) -> None:
    browser.go("/asset-groups")
    browser.page.get_by_text("Materialize all").first.wait_for()


def _checkpoint(browser: Browser) -> None:
    browser.open_partition("checkpoint", f"{MODEL}@e002")


def _contact_sheet(browser: Browser) -> None:
    browser.go_to(f"http://127.0.0.1:{PORT + 1}/curated_images/{STYLE}/current/contact_sheet.html")


def _automation(browser: Browser) -> None:
    browser.go("/automation")
    browser.page.get_by_text(f"refresh_{STYLE}").wait_for()


def _runs(browser: Browser) -> None:
    browser.go("/runs")
    browser.page.get_by_text("Success").first.wait_for()


PAGES: dict[str, Callable[[Browser], None]] = {
    "ui-graph": _graph,
    "ui-runs": _runs,
    "ui-checkpoint": _checkpoint,
    "ui-contact-sheet": _contact_sheet,
    "ui-automation": _automation,
}


def _small(browser: Browser) -> bytes:
    browser.page.wait_for_timeout(3000)  # until what moves has come to rest
    with Image.open(io.BytesIO(browser.page.screenshot())) as image:
        height_px = round(image.height * WIDTH_PX / image.width)
        small = image.convert("RGB").resize((WIDTH_PX, height_px), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
