"""Answers at size: ``styledag status``, the code location and the web UI's asset pages.

One store has 200 styles, 1,000 checkpoints and 50,000 images; half of the images are one style's.
Goal: each answer in less than five seconds. The pages are opened in a real browser, as their
queries are Dagster's own; without Playwright and Chromium they are left out.

    python -m benchmarks.scale --work /mnt/disk/large
    python -m benchmarks.scale --quick

A folder that was filled once is measured again without filling it anew.
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.large_store import RECIPE, CheapCatalogue, Size, fill_store, write_project
from styledag.defs.materialise import checks_of
from styledag.defs.opened_history import open_history
from styledag.graph.checks import Checked

LARGE = Size(styles=200, checkpoints=1_000, images=50_000)
QUICK = Size(styles=3, checkpoints=6, images=60)
STARTER = Path(__file__).parents[1] / "data" / "starter"
CHROMIUM = Path("/usr/bin/chromium")
_PORT = 3191
_LOAD = """
from dagster._core.remote_representation.external_data import RepositorySnap
from styledag.definitions import defs
RepositorySnap.from_def(defs.get_repository_def())
"""


def main() -> None:
    """Measure by the command line's options."""
    options = _options()
    size = QUICK if options.quick else LARGE
    with tempfile.TemporaryDirectory(prefix="styledag-scale-") as temporary:
        root = options.work or Path(temporary)
        catalogue = prepare(root, size)
        for name, seconds in measure(catalogue).items():
            print(f"{name}: {seconds:.2f} s")
        if CHROMIUM.is_file():
            for name, seconds in measure_pages(catalogue).items():
                print(f"{name}: {seconds:.2f} s")


def prepare(root: Path, size: Size) -> CheapCatalogue:
    """Return a project of a size, filled if the folder has none yet."""
    catalogue = CheapCatalogue(write_project(root, STARTER, size), size)
    with open_history(root) as instance:
        for style in fill_store(catalogue, instance):
            print(f"{style} of {size.styles} is there", file=sys.stderr)
    return catalogue


def measure(catalogue: CheapCatalogue) -> Mapping[str, float]:
    """Return processor seconds of each answer, in a process of its own as a user has it."""
    root, largest = catalogue.project.root, catalogue.size.names[0]
    commands = {
        "styledag status": ["-m", "styledag", "status"],
        f"styledag status {largest}": ["-m", "styledag", "status", largest],
        "code location": ["-c", _LOAD],
        "styledag gc": ["-m", "styledag", "gc"],
    }
    figures = {name: _seconds_of(command, root) for name, command in commands.items()}
    return figures | {f"checks of {largest}": _seconds_of_checks(catalogue, largest)}


def _seconds_of(command: list[str], root: Path) -> float:
    """Return processor seconds, which are those of the clock on a machine that does no more."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], cwd=root, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _seconds_of_checks(catalogue: CheapCatalogue, style: str) -> float:
    """Return how long all checks of a style's images take together."""
    declared, store = catalogue.style(style), catalogue.store
    began = time.process_time()
    for stage in catalogue.stages.values():
        if stage.grain == "style" and stage.checks:
            checked = Checked(store.require(stage.name, style), declared, store)
            for check in checks_of(stage):
                assert check.look(checked).passed, check.name
    return time.process_time() - began


def measure_pages(catalogue: CheapCatalogue) -> Mapping[str, float]:
    """Return seconds of the slowest answers that the web UI's pages of assets wait for."""
    from playwright.sync_api import Response, sync_playwright

    style = catalogue.size.names[-1]
    model = f"{style}.{RECIPE}"
    pages = {"raw_images": style, "checkpoint": f"{model}@e001"}
    figures: dict[str, float] = {}
    with _web_ui(catalogue.project.root), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        for asset, partition in pages.items():
            page = browser.new_page()
            page.set_default_timeout(180_000)

            def note(response: Response, asset: str = asset) -> None:
                if response.url.endswith("/graphql") or "/graphql?" in response.url:
                    query = json.loads(response.request.post_data or "{}").get("operationName")
                    response.finished()
                    timing: Any = response.request.timing
                    name, seconds = f"{asset}: {query}", timing["responseEnd"] / 1000
                    figures[name] = max(seconds, figures.get(name, 0.0))

            page.on("response", note)
            began = time.perf_counter()
            page.goto(
                f"http://127.0.0.1:{_PORT}/assets/{asset}?view=partitions&partition={partition}"
            )
            page.get_by_role("cell", name="version", exact=True).first.wait_for()
            figures[f"{asset}: page shown"] = time.perf_counter() - began
            page.wait_for_timeout(5_000)
            page.close()
        browser.close()
    return dict(sorted(figures.items(), key=lambda item: -item[1]))


@contextmanager
def _web_ui(root: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "styledag", "ui", "--port", str(_PORT)]
    with (root / "web-ui.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=root, stdout=log, stderr=subprocess.STDOUT)
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{_PORT}/server_info", timeout=60).close()
                break
            except urllib.error.URLError:
                time.sleep(0.5)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, help="Folder that keeps the store; else a new one.")
    parser.add_argument("--quick", action="store_true", help="A few styles, to try it.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
