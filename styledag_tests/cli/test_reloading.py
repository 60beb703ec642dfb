"""The web UI is told of new partitions, once each, and of nothing else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from time import monotonic, sleep

import pytest

from styledag.cli import reloading as module
from styledag.cli.reloading import reloading
from styledag.loopback import served
from styledag.project import Project
from styledag_tests.whole.small_project import STYLE, edit, make_project

INTERVAL_S = 0.02


class WebServer(ThreadingHTTPServer):
    """Answers the mutation as Dagster's web server does; refuses the first ``refusals``."""

    def __init__(self, refusals: int) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []
        self.refusals = refusals

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: WebServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(json.loads(body)["query"])
        refused = len(self.server.asked) <= self.server.refusals
        self.send_response(503 if refused else 200)
        self.end_headers()
        self.wfile.write(b'{"data": {"reloadWorkspace": {"__typename": "Workspace"}}}')

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def serving(refusals: int = 0) -> Iterator[WebServer]:
    server = WebServer(refusals)
    with served(server):
        yield server


@pytest.fixture
def project(tmp_path: Path, starter: Path) -> Project:
    return make_project(tmp_path, starter, "http://127.0.0.1:1")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Set once the style files have been read for the first time."""
    read, loaded = module._declared, Event()

    def noted(project: Project, before: module.Declared) -> module.Declared:
        found = read(project, before)
        loaded.set()
        return found

    monkeypatch.setattr(module, "_declared", noted)
    return loaded


def until_asked(server: WebServer, times: int) -> None:
    end = monotonic() + 20
    while len(server.asked) < times:
        assert monotonic() < end, f"asked {len(server.asked)} times, not {times}"
        sleep(INTERVAL_S)


def test_new_styles_and_weights_are_loaded_and_prompts_are_not(
    project: Project, loaded: Event
) -> None:
    with serving() as server, reloading(project, server.url, interval_s=INTERVAL_S):
        assert loaded.wait(20)
        sleep(20 * INTERVAL_S)
        edit(project, "a rocket", "a red rocket")
        edit(project, "num_beams: 1", "num_beams: [")  # as when half of it is saved
        sleep(20 * INTERVAL_S)
        edit(project, "num_beams: [", "num_beams: 1")
        sleep(20 * INTERVAL_S)
        assert server.asked == []

        edit(project, "[0.0, 0.5, 1.0]", "[0.0, 0.4, 1.0]")
        until_asked(server, 1)
        small = project.styles_folder / f"{STYLE}.yaml"
        (project.styles_folder / "second.yaml").write_bytes(small.read_bytes())
        until_asked(server, 2)
        (project.styles_folder / "second.yaml").unlink()
        until_asked(server, 3)
        sleep(20 * INTERVAL_S)
    assert len(server.asked) == 3
    assert all("reloadWorkspace" in each for each in server.asked)


def test_a_web_ui_that_does_not_answer_yet_is_asked_again_and_by_no_proxy(
    project: Project, loaded: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serving(refusals=2) as server, reloading(project, server.url, interval_s=INTERVAL_S):
        assert loaded.wait(20)
        sleep(20 * INTERVAL_S)
        edit(project, "    epochs: 2", "    epochs: 3")
        until_asked(server, 3)
        sleep(20 * INTERVAL_S)
        assert len(server.asked) == 3
