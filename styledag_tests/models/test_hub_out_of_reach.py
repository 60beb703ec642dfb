"""A Hub that does not answer, or refuses, is reported soon, in one sentence and with a remedy."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import close_session

from styledag.collect.dataset import collect_dataset
from styledag.collect.settings import DatasetSource
from styledag.errors import ModelError, SourceError
from styledag.loopback import served
from styledag.models import hub
from styledag.models.hub_bars import HubBars
from styledag.models.reference import ModelReference, configuration_folder, resolve_model
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag_tests.models.hub import COMMIT, REPOSITORY, running_hub

FILES = {"config.json": b"{}", "model.safetensors": b"weights"}
PAGE = b"<html><head><title>Access denied</title></head><body>by the proxy</body></html>"


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_answers", {})
    monkeypatch.setattr(hub, "_outages", {})
    for name in ("HF_HUB_CACHE", "HF_ASSETS_CACHE"):
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", str(tmp_path / name))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.5)


def point_at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


@contextmanager
def answering(
    status: int, headers: dict[str, str], body: bytes = PAGE
) -> Iterator[tuple[str, list[str]]]:
    """Serve one answer to everything; yield the address and what was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.extend([self.path] if "/api/models/" in self.path else [])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_CONNECT = answer  # noqa: N815 - named by http.server

        def log_message(self, *_args: object) -> None:
            """Keep the tests' output clean."""

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, asked


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (200, {}, "cannot be reached (something else than a Hub answers, such as a login page"),
        (401, {}, "HTTP 401 (Unauthorized): log in anew (`hf auth login`)"),
        (403, {}, "HTTP 403 (Forbidden): check the token's rights"),
        (404, {}, "HTTP 404 (Not Found): check its name and files, and that http://127"),
        (404, {"X-Error-Code": "RepoNotFound"}, "there is no such model, or it is private"),
        (403, {"X-Error-Code": "GatedRepo"}, "its terms must be accepted first"),
        (429, {"Retry-After": "250"}, "HTTP 429 (Too Many Requests): try again in 250 s, or"),
        (503, {}, "HTTP 503 (Service Unavailable): try again later, set HF_ENDPOINT to a mirror"),
    ],
    ids=lambda value: value if isinstance(value, int) else "",
)  # fmt: skip
def test_an_answer_is_explained_at_the_first_of_it(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    status: int,
    headers: dict[str, str],
    said: str,
) -> None:
    with answering(status, headers) as (url, asked), caplog.at_level(logging.WARNING):
        point_at(monkeypatch, url)
        with pytest.raises(ModelError) as raised:
            configuration_folder(ModelReference(model="a/b", revision="main"), project=tmp_path)
    assert said in str(raised.value)
    assert str(raised.value).startswith("model 'a/b' at revision 'main' cannot be had from the ")
    assert "\n" not in str(raised.value)
    assert "<" not in str(raised.value)
    assert len(asked) == 1
    assert not caplog.messages


@pytest.mark.parametrize("answers", [False, True])
def test_a_hub_out_of_reach_is_asked_once_for_several_models(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    answers: bool,
) -> None:
    """A closed port, and one that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        point_at(monkeypatch, f"http://127.0.0.1:{listening.getsockname()[1]}")
        if not answers:
            listening.close()
        for name in ("a/b", "c/d", "e/f"):
            with pytest.raises(
                ModelError, match=rf"'{name}'.* cannot be reached \(\w+: .*HTTPS_PROX"
            ):
                configuration_folder(ModelReference(model=name, revision=COMMIT), project=tmp_path)
        if answers:
            listening.setblocking(False)
            listening.accept()[0].close()
            with pytest.raises(BlockingIOError):
                listening.accept()
    assert not caplog.messages


@pytest.mark.parametrize("revision", ["main", COMMIT])
@pytest.mark.parametrize("proxy", [False, True])
def test_what_is_in_the_cache_needs_no_hub(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    revision: str,
    proxy: bool,
) -> None:
    """Nor a proxy that lets it through, on which the Hub's own client gives up a branch."""
    reference = ModelReference(model=REPOSITORY, revision=revision)
    with running_hub(FILES) as there:
        point_at(monkeypatch, there.url)
        made = resolve_model(reference, project=tmp_path, items=store.items)
    with answering(403, {}) as (url, _):
        if proxy:
            monkeypatch.setenv("HTTPS_PROXY", url)
            point_at(monkeypatch, "https://hub.invalid")
            close_session()
        hub._answers.clear()
        assert resolve_model(reference, project=tmp_path, items=store.items) == made
        assert configuration_folder(reference, project=tmp_path) == made.folder
    monkeypatch.undo()
    close_session()
    assert not caplog.messages


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "HTTPS_PROXY",
            "socks5://127.0.0.1:1080",
            r"an address cannot be used \(ImportError: .*socks",
        ),
        ("HTTPS_PROXY", "http://proxy:port", r"an address cannot be used \(InvalidURL: .*port"),
        ("HF_TOKEN", "hf_\u00e4", r"UnicodeEncodeError: .* the token \(HF_TOKEN\)"),
    ],
)
def test_an_environment_that_no_request_can_be_made_with_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, said: str
) -> None:
    point_at(monkeypatch, "https://hub.invalid")
    monkeypatch.setenv(name, value)
    close_session()
    with pytest.raises(ModelError, match=said):
        configuration_folder(ModelReference(model="a/b", revision="main"), project=tmp_path)
    monkeypatch.undo()
    close_session()


def test_a_dataset_out_of_reach_is_reported_as_soon(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, tmp_path: Path
) -> None:
    """Its library waits for an answer without a limit."""
    source = DatasetSource(type="dataset", path="a/b", revision="main")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        point_at(monkeypatch, f"http://127.0.0.1:{listening.getsockname()[1]}")
        sentence = r"dataset 'a/b' at revision 'main' .*ReadTimeout.*; with HF_HUB_OFFLINE=1, what"
        with pytest.raises(SourceError, match=sentence):
            collect_dataset(source, workspace, project=tmp_path)


def test_a_download_without_a_terminal_is_reported_in_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("styledag.progress._FIRST_LINE_S", 0.0)
    bar = HubBars(
        total=0, unit="B", disable=None, name="huggingface_hub.snapshot_download", desc="bytes"
    )
    bar.total += 3_000_000_000
    threads = [threading.Thread(target=bar.update, args=(100_000_000,)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("downloaded MB: 100 of 3000 in 0.")
    others = HubBars(total=2, disable=None, name="huggingface_hub.other", desc="Fetching 2 files")
    others.update(1)
    others.close()
    assert capsys.readouterr().err == ""
