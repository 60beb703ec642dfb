"""The web UI in a real browser, as somebody uses it who works there."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

CHROMIUM = Path("/usr/bin/chromium")
WAIT_MS = 180_000.0
"""A page of the web UI may wait for a code server on a busy machine."""


class Browser:
    """One window.

    Args:
        page: Playwright's page.
        url: Where the web UI is.
    """

    def __init__(self, page: "Page", url: str) -> None:
        self.page = page
        self._url = url

    def go(self, path: str) -> None:
        """Open a page of the web UI."""
        self.page.goto(f"{self._url}{path}")

    def go_to(self, url: str) -> None:
        """Open a page elsewhere."""
        self.page.goto(url)

    def materialise_everything(self) -> None:
        """Start a backfill of the whole graph for every style."""
        self.go("/asset-groups")
        self.button("Materialize all").click()
        self.button("All", exact=True).click()
        self.button("Launch backfill").click()
        self.page.get_by_text("Created backfill").wait_for()

    def materialise(self, asset: str, partition: str) -> str:
        """Start a run of one asset from its page, open the run's page and return the run's id."""
        self.open_partition(asset, partition)
        self.button("Materialize").first.click()
        self.button("Launch 1 run").click()
        self.page.get_by_text("View", exact=True).click()
        self.page.wait_for_url(re.compile("/runs/[0-9a-f-]{36}"))
        return re.findall("/runs/([0-9a-f-]{36})", self.page.url)[0]

    def cancel_run(self) -> None:
        """Cancel the run whose page is open."""
        self.button("Terminate").first.click()
        self.button("Terminate 1 run").click()
        self.page.get_by_text("Canceled").first.wait_for()

    def open_partition(self, asset: str, partition: str) -> None:
        """Open the page of an asset's partition, and wait until it shows what was made."""
        self.go(f"/assets/{asset}?view=partitions&partition={quote(partition, safe='')}")
        self.metadata("version").wait_for()

    def metadata(self, name: str) -> "Locator":
        """Return the row of a table of metadata."""
        return self.page.get_by_role("row").filter(
            has=self.page.get_by_role("cell", name=name, exact=True)
        )

    @contextmanager
    def following(self, name: str) -> Iterator["Browser"]:
        """Follow a link in metadata into a window of its own until the block ends."""
        with self.page.expect_popup() as popup:
            self.metadata(name).get_by_role("link").first.click()
        page = popup.value
        page.wait_for_load_state()
        try:
            yield Browser(page, self._url)
        finally:
            page.close()

    def shown_images(self) -> int:
        """Return how many images of the page are really shown."""
        return int(
            self.page.evaluate(
                "[...document.images].filter(i => i.complete && i.naturalWidth > 0).length"
            )
        )

    def switch(self, name: str, *, on: bool) -> None:
        """Switch a schedule or a sensor on or off, and wait until it is."""
        from playwright.sync_api import expect

        self.go("/automation")
        # By its first words: the description of a schedule names the sensor too.
        starts = re.compile(rf"^\W*{re.escape(name)}")
        row = self.page.locator("[data-index]").filter(has_text=starts)
        # The first selects the row; the second appears once the state is known.
        row.locator("label").nth(1).click()
        expect(row.locator("input").nth(1)).to_be_checked(checked=on, timeout=WAIT_MS)

    def button(self, name: str, *, exact: bool = False) -> "Locator":
        """Return a button by its words."""
        return self.page.get_by_role("button", name=name, exact=exact)


@contextmanager
def browsing(url: str, *, width: int = 1440, height: int = 900) -> Iterator[Browser]:
    """Open a window of Debian's Chromium on a web UI until the block ends.

    Args:
        url: Where the web UI is.
        width: Of the window, in pixels.
        height: Of the window, in pixels.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        page = chromium.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(WAIT_MS)
        try:
            yield Browser(page, url)
        finally:
            chromium.close()
