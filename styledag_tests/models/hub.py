"""A Hub of one repository on the loopback, in as much of its protocol as its client uses."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from styledag.loopback import served

REPOSITORY = "org/model"
COMMIT = "c" * 40


@dataclass
class Hub:
    """What was asked of it.

    Attributes:
        url: Its address, for ``HF_ENDPOINT``.
        downloads: Files whose content was asked for, in order.
        listings: How often the repository's files were asked for.
    """

    url: str
    downloads: list[str] = field(default_factory=list)
    listings: int = 0


@contextmanager
def running_hub(
    files: Mapping[str, bytes], *, refused: tuple[int, str] | None = None
) -> Iterator[Hub]:
    """Serve one repository of these files at branch ``main`` and at its commit.

    Args:
        files: Content by name.
        refused: Status and the Hub's code with which each file, though listed, is refused.
    """
    answers = _answers(files)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._send(with_body=False)

        def do_GET(self) -> None:
            # Noted first: who has the answer may look at once.
            path = unquote(urlsplit(self.path).path)
            hub.listings += "/tree/" in path
            if "/resolve/" in path:
                hub.downloads.append(path.split("/resolve/")[1].partition("/")[2])
            self._send(with_body=True)

        def log_message(self, *_args: object) -> None:
            """Keep the tests' output clean."""

        def _send(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            content = answers.get(path)
            if content is None:
                self.send_error(404)
                return
            if refused is not None and "/resolve/" in path:
                self.send_response(refused[0])
                self.send_header("X-Error-Code", refused[1])
                self.send_header("X-Error-Message", "Your request is awaiting a review")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{_digest(content)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if with_body:
                self.wfile.write(content)

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        hub = Hub(url)
        yield hub


def _answers(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what the Hub answers, by path."""
    info = {"id": REPOSITORY, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
    tree = [
        {"type": "file", "path": name, "size": len(content), "oid": _digest(content)}
        for name, content in files.items()
    ]
    answers = {}
    for revision in ("main", COMMIT):
        api = f"/api/models/{REPOSITORY}"
        answers[f"{api}/revision/{revision}"] = json.dumps(info).encode()
        answers[f"{api}/tree/{revision}"] = json.dumps(tree).encode()
        for name, content in files.items():
            answers[f"/{REPOSITORY}/resolve/{revision}/{name}"] = content
    return answers


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
