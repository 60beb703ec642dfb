from pathlib import Path

import pytest

from styledag_tests.publishing.pipelines import write_pipeline


@pytest.fixture(scope="session")
def first_pipeline(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline of Stable Diffusion 1.x; to be read only."""
    return write_pipeline(tmp_path_factory.mktemp("pipeline"), starter, version=1)


@pytest.fixture(scope="session")
def second_pipeline(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline of Stable Diffusion 2.x; to be read only."""
    return write_pipeline(tmp_path_factory.mktemp("pipeline"), starter, version=2)


@pytest.fixture(params=["1.x", "2.x"])
def pipeline(request: pytest.FixtureRequest, first_pipeline: Path, second_pipeline: Path) -> Path:
    """A tiny pipeline of each generation; to be read only."""
    return first_pipeline if request.param == "1.x" else second_pipeline
