"""Every fault of a server ends in the image, a counted reason, or a refusal to publish."""

import gzip
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from styledag.collect.collect import collect_images
from styledag.collect.settings import FetchSettings, HtmlSource
from styledag.errors import SourceError
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG, Reply, Route, Site, image, page, serving

FETCH = FetchSettings(
    delay_s=0, retries=1, timeout_s=60, allow_private_hosts=("127.0.0.1",), max_image_bytes=100_000
)
SOON = format_datetime(datetime.now(UTC) - timedelta(seconds=5), usegmt=True)


def collect(site: Site, workspace: Workspace, fetch: FetchSettings = FETCH) -> Any:
    source = HtmlSource(type="html", start=(f"{site.url}/",), fetch=fetch)
    return collect_images([source], workspace, project=Path())


def then(first: Reply, *rest: Reply) -> Callable[[Site], Reply]:
    """Answer in turn; the last answer is repeated."""
    answers = [first, *rest]
    return lambda _: answers.pop(0) if len(answers) > 1 else answers[0]


def busy(status: int, **headers: str) -> Callable[[Site], Reply]:
    return then(Reply(b"busy", status, headers=headers), image(PNG + b"second"))


def reset(stream: Any) -> None:
    """End the connection by a reset, in the middle of the body."""
    connection = stream._sock
    stream.write(PNG[:20])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    raise OSError


def endless(stream: Any) -> None:
    """A body of 1 GB, sent as fast as it is taken."""
    for _ in range(1_000):
        stream.write(bytes(1_000_000))


def drip(stream: Any) -> None:
    """One byte at a time for longer than the deadline."""
    for at in range(60):
        stream.write(PNG[at : at + 1])
        time.sleep(0.05)


def length(count: int) -> Reply:
    return image(PNG, **{"Content-Length": str(count)})


PUBLISHED: dict[str, tuple[Route, str]] = {
    "429 seconds": (busy(429, **{"Retry-After": "0"}), ""),
    "429 fraction": (busy(429, **{"Retry-After": "0.01"}), ""),
    "429 date": (busy(429, **{"Retry-After": SOON}), ""),
    "429 nonsense": (busy(429, **{"Retry-After": "later"}), ""),
    "429 negative": (busy(429, **{"Retry-After": "-5"}), ""),
    "429 bare": (busy(429), ""),
    "503 once": (busy(503), ""),
    "500 once": (busy(500), ""),
    "reset once": (then(Reply(stream=reset, content_type="image/png"), image()), ""),
    "short once": (then(length(len(PNG) + 9), image()), ""),
    "404": (Reply(b"", 404), "http_404"),
    "410": (Reply(b"", 410), "http_410"),
    "403": (Reply(b"", 403), "http_403"),
    "loop": (Reply(b"", 302, headers={"Location": "/bad.png"}), "redirect_loop"),
    "endless redirects": (Reply(b"", 302, headers={"Location": "/hop/1"}), "redirect_loop"),
    "to a file": (Reply(b"", 302, headers={"Location": "file:///etc/passwd"}), "scheme_refused"),
    "to inside": (
        Reply(b"", 302, headers={"Location": "http://10.0.0.1/a.png"}),
        "private_address",
    ),
    "no location": (Reply(b"", 302), "http_302"),
    "html as jpg": (Reply(b"<!doctype html><p>Log in", content_type="image/jpeg"), "not_an_image"),
    "json as png": (Reply(b'{"error": 1}', content_type="image/png"), "not_an_image"),
    "nothing": (Reply(b"", content_type="image/png"), "not_an_image"),
    "204": (Reply(b"", 204), "http_204"),
    "304 unasked": (Reply(b"", 304), "http_304"),
    "bomb": (
        Reply(
            gzip.compress(bytes(50_000_000)),
            content_type="image/png",
            headers={"Content-Encoding": "gzip"},
        ),
        "too_large",
    ),
    "bad gzip": (
        Reply(b"no gzip", content_type="image/png", headers={"Content-Encoding": "gzip"}),
        "bad_answer",
    ),
    "1 GB announced": (length(10**9), "too_large"),
    "1 GB sent": (Reply(stream=endless, content_type="image/png"), "too_large"),
    "opt-out": (image(PNG, **{"X-Robots-Tag": "noai"}), "opted_out"),
}
REFUSED: dict[str, tuple[Route, str]] = {
    "429 for ever": (Reply(b"", 429), "http_429"),
    "429 for hours": (Reply(b"", 429, headers={"Retry-After": "7200"}), "http_429"),
    "503 for ever": (Reply(b"", 503), "http_503"),
    "500 for ever": (Reply(b"", 500), "http_500"),
    "reset for ever": (Reply(stream=reset, content_type="image/png"), "connection_broken"),
    "short for ever": (length(len(PNG) + 9), "connection_broken"),
    "drip": (Reply(stream=drip, content_type="image/png"), "timeout"),
}


def routes(fault: Route) -> dict[str, Route]:
    return {
        "/robots.txt": Reply(b"", 404),
        "/": page('<img src="a.png"><img src="bad.png"><img src="b.png">'),
        "/a.png": image(PNG + b"a"),
        "/bad.png": fault,
        "/b.png": image(PNG + b"b"),
        "/hop/1": Reply(b"", 302, headers={"Location": "/hop/2"}),
        "/hop/2": Reply(b"", 302, headers={"Location": "/hop/1"}),
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_fault_costs_one_image_at_the_most(name: str, workspace: Workspace) -> None:
    fault, reason = PUBLISHED[name]
    with serving(routes(fault)) as site:
        facts = collect(site, workspace).facts
    expected = (
        {"found": 3, "kept": 2, f"rejected_{reason}": 1} if reason else {"found": 3, "kept": 3}
    )
    assert facts == expected


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_pass_publishes_nothing_and_keeps_the_rest(
    name: str, workspace: Workspace
) -> None:
    fault, reason = REFUSED[name]
    # A host that asks to wait for hours is asked for nothing else either.
    left = 2 if name == "429 for hours" else 1
    fetch = replace(FETCH, timeout_s=1) if reason == "timeout" else FETCH
    with serving(routes(fault)) as site:
        with pytest.raises(SourceError, match=rf"{reason} 1.*{3 - left} images that were received"):
            collect(site, workspace, fetch)
        assert not list(workspace.folder.iterdir())
        workspace.work.clear()
        site.routes["/bad.png"] = image()
        assert collect(site, workspace).facts == {"found": 3, "kept": 3}
    # The others have no validators: the same build does not ask for them again.
    assert workspace.work["downloads"] == left


def test_a_304_stands_for_the_body_that_is_known_and_a_new_etag_for_a_new_one(
    workspace: Workspace,
) -> None:
    tagged = image(PNG + b"old", ETag='"1"')
    with serving(routes(tagged)) as site:
        first = collect(site, workspace)
        site.routes["/bad.png"] = Reply(PNG + b"changed", 304, headers={"ETag": '"2"'})
        assert collect(site, workspace) == first
        site.routes["/bad.png"] = image(PNG + b"changed", ETag='"2"')
        changed = collect(site, workspace)
    assert {row.sha256 for row in changed.rows} - {row.sha256 for row in first.rows}
    assert site.last_headers["/bad.png"]["If-None-Match"] == '"1"'


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (Reply(b"", 503), "http_503"),
        (Reply(stream=endless), "too_large"),
        (Reply(b"", 404), "http_404"),
        (Reply(b"", 302, headers={"Location": "/"}), "redirect_loop"),
    ],
)
def test_a_start_page_that_cannot_be_had_publishes_nothing(
    start: Reply, reason: str, workspace: Workspace
) -> None:
    with (
        serving({**routes(image()), "/": start}) as site,
        pytest.raises(SourceError, match=reason),
    ):
        collect(site, workspace)
