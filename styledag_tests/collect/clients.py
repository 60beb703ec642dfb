"""A client for tests: it may ask this machine, and notes its waits in place of waiting."""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from styledag.collect.settings import FetchSettings
from styledag.collect.web.client import Client
from styledag.store.workspace import Workspace

SETTINGS = FetchSettings(
    delay_s=0, timeout_s=5, retries=2, allow_private_hosts=("127.0.0.1",), contact="me@example.org"
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
