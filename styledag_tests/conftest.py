"""Fixtures that every stage's tests share."""

from pathlib import Path

import pytest

from styledag.store.store import Store
from styledag.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), cache=tmp_path / "cache")


@pytest.fixture
def workspace(tmp_path: Path, store: Store) -> Workspace:
    folder, scratch = tmp_path / "work" / "artifact", tmp_path / "work" / "scratch"
    folder.mkdir(parents=True)
    scratch.mkdir()
    return Workspace(folder, scratch, store.blobs, store.items)
