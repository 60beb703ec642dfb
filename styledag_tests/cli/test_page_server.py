"""The server of published pages: what it gives, to whom, and what no path gets out of it."""

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from styledag.cli.page_server import serve_pages
from styledag.errors import StyledagError
from styledag.store.artifact import Artifact
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace

REPORT = b"<!doctype html><title>a report</title>"


def published(store: Store, asset: str, partition: str, content: bytes = REPORT) -> Artifact:
    def body(workspace: Workspace) -> dict[str, int]:
        for name in ("report.html", "all #1?.png", "weights.safetensors", "data/rows.parquet.html"):
            (workspace.folder / name).parent.mkdir(exist_ok=True)
            (workspace.folder / name).write_bytes(content)
        (workspace.folder / "log").mkdir()
        (workspace.folder / "log" / "steps.html").write_bytes(b"secret")
        return {}

    return store.build(Target(asset=asset, partition=partition, code_version="1"), body).artifact


@pytest.fixture
def report(store: Store) -> Artifact:
    return published(store, "model_report", "small.full/0.50")


@pytest.fixture
def server(store: Store) -> Iterator[str]:
    with serve_pages(store, port=0) as url:
        yield url.removeprefix("http://")


def ask(
    server: str, path: str, method: str = "GET", host: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """Ask for a path just as it is, which no client library may tidy up."""
    connection = http.client.HTTPConnection(server, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or server)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


@pytest.mark.parametrize("version", ["current", "{version}"])
def test_a_published_page_is_served_by_version_and_as_the_current_one(
    server: str, report: Artifact, version: str
) -> None:
    version = version.format(version=report.version)
    status, content, headers = ask(
        server, f"/model_report/small.full@0.50/{version}/report.html?again"
    )
    assert (status, content) == (200, REPORT)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    path = f"/model_report/small.full@0.50/{version}/all%20%231%3F.png"
    assert ask(server, path)[2]["Content-Type"] == "image/png"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/model_report",
        "/model_report/small.full@0.50/current/",  # no directory listing
        "/model_report/small.full@0.50/current",
        "/model_report/small.full@0.50/current/weights.safetensors",
        "/model_report/small.full@0.50/current/build.json",
        "/model_report/small.full@0.50/current/log/steps.html",  # not content
        "/model_report/small.full@0.50/current/data%2Frows.parquet.html",
        "/model_report/small.full@0.50/current/data/../report.html",
        "/model_report/small.full@0.50/current/%2e%2e/report.html",
        "/model_report/small.full@0.50/current/../../../../secret.html",
        "/model_report/small.full@0.50/current/..%2F..%2F..%2F..%2Fsecret.html",
        "/model_report/small.full@0.50/current/..\\..\\secret.html",
        "/model_report/small.full@0.50/../secret.html",
        "/model_report/small.full@0.50/%00/report.html",
        "/model_report/small.full@0.50/current/report.html%00.png",
        "/model_report/..@../current/secret.html",
        "/model_report/small.full@..@../current/report.html",
        "/../heads/model_report/current/report.html",
        "/%2e%2e/model_report/small.full@0.50/current/report.html",
        "/C:/small.full@0.50/current/report.html",
        "/etc/passwd",
        "/" + "a/" * 3000,
        f"/model_report/{'a' * 5000}/current/report.html",
        "//[/small.full@0.50/current/report.html",
        "http://127.0.0.1/../secret.html",
    ],
)
def test_no_other_path_leads_to_a_file(
    server: str, store: Store, report: Artifact, path: str
) -> None:
    for folder in (Path(store.url), Path(store.url).parent):
        (folder / "secret.html").write_text("secret")
    status, content, headers = ask(server, path)
    assert status == 404
    assert b"secret" not in content
    assert "<" not in content.decode()
    assert headers["Content-Type"].startswith("text/plain")


def test_a_record_that_somebody_else_wrote_leads_to_no_file_outside(
    server: str, store: Store, report: Artifact
) -> None:
    (Path(store.url) / "secret.html").write_text("secret")
    path = Path(report.location) / "build.json"
    record = json.loads(path.read_bytes())
    record["files"]["../../../../../secret.html"] = "0" * 64
    path.write_text(json.dumps(record))
    inside = "../../../../../secret.html"
    for name in (inside, inside.replace("/", "%2F")):
        assert ask(server, f"/model_report/small.full@0.50/{report.version}/{name}")[0] == 404


def test_another_page_s_name_for_this_machine_gets_nothing(server: str, report: Artifact) -> None:
    path = "/model_report/small.full@0.50/current/report.html"
    port = server.partition(":")[2]
    assert ask(server, path, host=f"localhost:{port}")[0] == 200
    assert ask(server, path, host=f"evil.example:{port}")[0] == 404


def test_nothing_can_be_written(server: str, report: Artifact) -> None:
    path = "/model_report/small.full@0.50/current/report.html"
    for method in ("PUT", "POST", "DELETE", "OPTIONS"):
        assert ask(server, path, method=method)[0] == 501
    status, content, headers = ask(server, path, method="HEAD")
    assert (status, content, headers["Content-Length"]) == (200, b"", str(len(REPORT)))


def test_a_taken_port_is_one_sentence(store: Store, server: str) -> None:
    before = threading.active_count()
    with (
        pytest.raises(StyledagError, match=r"port \d+ of 127\.0\.0\.1 cannot be used"),
        serve_pages(store, port=int(server.partition(":")[2])),
    ):
        pass
    with pytest.raises(StyledagError, match="port 65536"), serve_pages(store, port=65536):
        pass
    assert threading.active_count() <= before
