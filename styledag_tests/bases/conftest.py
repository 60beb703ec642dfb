from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from styledag_tests.bases.families import tiny_families


@pytest.fixture(scope="package")
def folder_of(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write the base of a family when it is first asked for."""
    families = tiny_families()
    root = tmp_path_factory.mktemp("families")

    @cache
    def written(name: str) -> Path:
        return families[name].write(root / name, starter / "stable-diffusion" / "tokenizer")

    return written
