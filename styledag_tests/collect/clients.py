"""A client for tests: it may ask this machine, and notes its waits in place of waiting."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from styledag.collect.settings import FetchSettings
from styledag.collect.web.client import Client
from styledag.errors import FetchError
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import Reply, Site

SETTINGS = FetchSettings(
    delay_s=0, timeout_s=60, retries=2, allow_private_hosts=("127.0.0.1",), contact="me@example.org"
)


class Sleeper:
    """Notes how long it should have slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def client(
    workspace: Workspace, sleeper: Sleeper, **changes: Any
) -> AbstractContextManager[Client]:
    return Client(replace(SETTINGS, **changes), workspace, sleep=sleeper)


def refusal(fetch: Callable[[str], object], url: str) -> FetchError:
    """Return how a fetch is refused."""
    with pytest.raises(FetchError) as caught:
        fetch(url)
    return caught.value


def first_then(first: Reply, then: Reply) -> Callable[[Site], Reply]:
    """Return an answer to the first question and one to all others."""
    answers = iter([first])

    def answer(site: Site) -> Reply:
        return next(answers, then)

    return answer
