"""A collection that is killed goes on where it was."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from styledag.collect.collect import collect_images
from styledag.collect.settings import FetchSettings, HtmlSource
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG, Reply, Route, Site, image, page, serving

SCRIPT = """
import sys
from pathlib import Path
from styledag.collect.collect import collect_images
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag_tests.collect.test_kill import source
root, url = Path(sys.argv[1]), sys.argv[2]
store = Store(str(root / "store"))
workspace = Workspace(root / "artifact", root / "scratch", store.blobs, store.items)
collect_images([source(url)], workspace, project=root)
"""
COUNT = 8


def source(url: str) -> HtmlSource:
    fetch = FetchSettings(delay_s=0, retries=0, allow_private_hosts=("127.0.0.1",))
    return HtmlSource(type="html", start=(f"{url}/",), fetch=fetch)


@pytest.mark.parametrize("headers", [{}, {"ETag": '"1"'}], ids=["bare", "etag"])
def test_after_kill_9_only_the_rest_is_downloaded(tmp_path: Path, headers: dict[str, str]) -> None:
    killed = threading.Event()

    def numbered(n: int) -> Route:
        def answer(site: Site) -> Reply:
            if "If-None-Match" in site.last_headers[f"/{n}.png"]:
                return Reply(b"", 304)
            if n == 4:
                killed.wait(60)
            return image(PNG + bytes([n]), **headers)

        return answer

    routes: dict[str, Route] = {
        "/": page("".join(f'<img src="/{n}.png">' for n in range(COUNT))),
        **{f"/{n}.png": numbered(n) for n in range(COUNT)},
    }
    store = Store(str(tmp_path / "store"))
    for name in ("artifact", "scratch", "undisturbed", "fresh"):
        (tmp_path / name).mkdir()
    with serving(routes) as site:
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), site.url]
        with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as process:
            while not site.asked["/4.png"]:
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        killed.set()
        workspace = Workspace(tmp_path / "artifact", tmp_path / "scratch", store.blobs, store.items)
        manifest = collect_images([source(site.url)], workspace, project=tmp_path)
        # Of those asked for before, one was on its way and one may not have been kept yet.
        assert COUNT - 4 <= workspace.work["downloads"] <= COUNT - 3

        other = Store(str(tmp_path / "other"))
        fresh = Workspace(tmp_path / "undisturbed", tmp_path / "fresh", other.blobs, other.items)
        assert collect_images([source(site.url)], fresh, project=tmp_path) == manifest
