"""A Hub on the loopback that speaks the protocol as huggingface_hub uses it, with faults.

https://huggingface.co/docs/hub/api and https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
"""

import base64
import hashlib
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import unquote, urlsplit

from styledag.loopback import served

TOKEN = "hf_valid"
_REPO = r"/api/(?:model|dataset)s/(?P<repo>[^/]+/[^/]+)"


@dataclass
class Fault:
    """What happens instead of an answer to requests that match, ``times`` times.

    ``what`` is a status code, ``drop`` (the connection ends in the middle of the body), ``lose``
    (the request is carried out, and its answer lost), ``silence`` (no answer ever comes) or
    ``race`` (somebody else commits first).
    """

    request: str
    what: int | str
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Commit:
    """One commit of a branch."""

    oid: str
    title: str
    description: str
    files: dict[str, bytes]
    lfs: frozenset[str]


@dataclass
class Repo:
    """A repository; ``objects`` are its LFS objects by sha256."""

    kind: str
    private: bool
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    tag_messages: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)

    def commit(self, title: str, description: str, files: dict[str, bytes], lfs: set[str]) -> str:
        text = json.dumps([title, len(self.commits), sorted(files)])
        oid = hashlib.sha1(text.encode()).hexdigest()
        self.commits.append(Commit(oid, title, description, files, frozenset(lfs)))
        return oid

    @property
    def head(self) -> Commit:
        return self.commits[-1]


class Hub:
    """The server's state, and a log of requests as ``METHOD /path``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.log: list[str] = []
        self.lock = Lock()

    def count(self, pattern: str) -> int:
        return sum(re.search(pattern, request) is not None for request in self.log)

    def fault_of(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.request, request):
                fault.times -= 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        request = f"{self.command} {path}"
        with self.hub.lock:
            self.hub.log.append(request)
            fault = self.hub.fault_of(request)
        if fault is not None and fault.what == "drop":
            self.rfile.read(1)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = self._body()
        if fault is not None and fault.what == "silence":
            self.connection.recv(1)
            self.close_connection = True
            return
        if fault is not None and isinstance(fault.what, int):
            self._answer({"error": "a fault"}, fault.what, **fault.headers)
            return
        with self.hub.lock:
            self._lose = fault is not None and fault.what == "lose"
            self._race = fault is not None and fault.what == "race"
            self._route(request, body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _route(self, request: str, body: bytes) -> None:
        if match := re.fullmatch(r"PUT /upload/(?P<repo>[^/]+/[^/]+)/(?P<oid>\w+)", request):
            # A presigned address of the storage, which no token protects.
            assert hashlib.sha256(body).hexdigest() == match["oid"]
            self.hub.repos[match["repo"]].objects[match["oid"]] = body
            self._answer({})
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            message = "Invalid credentials in Authorization header"
            self._answer({"error": message}, 401, **{"X-Error-Message": message})
            return
        for pattern, handle in self._routes():
            if match := re.fullmatch(pattern, request):
                repo = match.groupdict().get("repo")
                if repo is not None and repo not in self.hub.repos:
                    headers = {"X-Error-Code": "RepoNotFound"}
                    self._answer({"error": "Repository not found"}, 404, **headers)
                    return
                handle(match, body)
                return
        self._answer({"error": f"no such address: {request}"}, 404)

    def _routes(self):
        return (
            (r"POST /api/repos/create", self._create),
            (r"GET /api/whoami-v2", lambda _match, _body: self._answer({"name": "ada"})),
            (r"POST /api/validate-yaml", lambda _match, _body: self._answer({})),
            (rf"GET {_REPO}/refs", self._refs),
            (rf"DELETE {_REPO}/tag/(?P<tag>[^/]+)", self._untag),
            (rf"GET {_REPO}/commits/(?P<revision>[^/]+)", self._commits),
            (rf"GET {_REPO}/tree/(?P<revision>[^/]+)", self._tree),
            (rf"POST {_REPO}/preupload/(?P<revision>[^/]+)", self._preupload),
            (rf"POST {_REPO}/commit/(?P<revision>[^/]+)", self._commit),
            (rf"POST {_REPO}/tag/(?P<revision>[^/]+)", self._tag),
            (r"POST (?:/datasets)?/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
        )

    def _create(self, _match: re.Match, body: bytes) -> None:
        wanted = json.loads(body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.hub.repos:
            self._answer({"error": "You already created this repo"}, 409)
            return
        repo = Repo(wanted["type"], wanted.get("visibility") == "private")
        repo.commit("initial commit", "", {".gitattributes": b"*.safetensors lfs\n"}, set())
        self.hub.repos[name] = repo
        self._answer({"url": f"{self.hub.url}/{name}"})

    def _refs(self, match: re.Match, _body: bytes) -> None:
        repo = self.hub.repos[match["repo"]]
        branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head.oid}
        tags = [
            {"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid}
            for name, oid in repo.tags.items()
        ]
        self._answer({"branches": [branch], "converts": [], "tags": tags})

    def _commits(self, match: re.Match, _body: bytes) -> None:
        commits = self.hub.repos[match["repo"]].commits
        self._answer(
            [
                {
                    "id": each.oid,
                    "authors": [{"user": "ada"}],
                    "date": "2026-01-02T03:04:05.000Z",
                    "title": each.title,
                    "message": each.description,
                }
                for each in reversed(commits)
            ]
        )

    def _tree(self, match: re.Match, _body: bytes) -> None:
        repo = self.hub.repos[match["repo"]]
        commit = next(each for each in repo.commits if each.oid == match["revision"])
        entries: list[dict] = [
            {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            for folder in sorted({name.rsplit("/", 1)[0] for name in commit.files if "/" in name})
        ]
        for name, content in commit.files.items():
            entry = {"type": "file", "path": name, "size": len(content), "oid": _git_oid(content)}
            if name in commit.lfs:
                sha256 = hashlib.sha256(content).hexdigest()
                pointer = f"version https://git-lfs\noid sha256:{sha256}\n".encode()
                entry["oid"] = _git_oid(pointer)
                entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": len(pointer)}
            entries.append(entry)
        self._answer(entries)

    def _preupload(self, match: re.Match, body: bytes) -> None:
        head = self.hub.repos[match["repo"]].head
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
                "oid": None
                if file["path"] not in head.files or file["path"] in head.lfs
                else _git_oid(head.files[file["path"]]),
            }
            for file in json.loads(body)["files"]
        ]
        self._answer({"files": files})

    def _batch(self, match: re.Match, body: bytes) -> None:
        repo = self.hub.repos[match["repo"]]
        objects = []
        for wanted in json.loads(body)["objects"]:
            answer = dict(wanted)
            if wanted["oid"] not in repo.objects:
                href = f"{self.hub.url}/upload/{match['repo']}/{wanted['oid']}"
                answer["actions"] = {"upload": {"href": href}}
            objects.append(answer)
        self._answer({"transfer": "basic", "objects": objects})

    def _commit(self, match: re.Match, body: bytes) -> None:
        repo = self.hub.repos[match["repo"]]
        if self._race:
            repo.commit("somebody else's", "", repo.head.files | {"theirs.txt": b"x"}, set())
        lines = [json.loads(line) for line in body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit", repo.head.oid) != repo.head.oid:
            self._answer({"error": "A commit has happened since. Please refresh"}, 412)
            return
        files, lfs = dict(repo.head.files), set(repo.head.lfs)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
                lfs.discard(value["path"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = repo.objects[value["oid"]]
                lfs.add(value["path"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        oid = repo.commit(header["summary"], header["description"], files, lfs)
        self._answer(
            {"commitUrl": f"{self.hub.url}/{match['repo']}/commit/{oid}", "commitOid": oid}
        )

    def _tag(self, match: re.Match, body: bytes) -> None:
        repo, wanted = self.hub.repos[match["repo"]], json.loads(body)
        if wanted["tag"] in repo.tags:
            self._answer({"error": "Tag already exists"}, 409)
            return
        repo.tags[wanted["tag"]] = match["revision"]
        repo.tag_messages[wanted["tag"]] = wanted["message"]
        self._answer({})

    def _untag(self, match: re.Match, _body: bytes) -> None:
        del self.hub.repos[match["repo"]].tags[match["tag"]]
        self._answer({})

    def _answer(self, content: object, status: int = 200, **headers: str) -> None:
        if getattr(self, "_lose", False):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A Hub at a port of its own."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    with served(server):
        yield handler.hub
