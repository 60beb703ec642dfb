"""Fixtures that every stage's tests share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag_tests.tiny_base import base  # noqa: F401 - a fixture
from tools.starter.init import init_starter

# torch reads it at the first matrix product on a GPU, which may be that of another test than the
# ones with deterministic kernels.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

# A shell starts what it runs in the background with interrupts ignored, and so are those of tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that take longest first, so that no worker waits for another at the end."""
    items.sort(key=lambda item: [each not in item.path.parts for each in ("whole", "training")])


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    """Give every test the same number of threads, which float sums follow from to the last bit."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _same_folder() -> Iterator[None]:
    """Return from where a command went: its folder is removed once its test has passed."""
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), cache=tmp_path / "cache")


@pytest.fixture
def workspace(tmp_path: Path, store: Store) -> Workspace:
    folder, scratch = tmp_path / "work" / "artifact", tmp_path / "work" / "scratch"
    folder.mkdir(parents=True)
    scratch.mkdir()
    return Workspace(folder, scratch, store.blobs, store.items)


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a starter with random weights; to be read only."""
    folder = tmp_path_factory.mktemp("starter") / "starter"
    init_starter(folder, seed=0)
    return folder
