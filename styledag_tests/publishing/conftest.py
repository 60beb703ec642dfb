from pathlib import Path

import pytest

from styledag_tests.publishing.pipelines import write_pipeline


@pytest.fixture(scope="session", params=[1, 2], ids=["1.x", "2.x"])
def pipeline(
    request: pytest.FixtureRequest, starter: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A tiny pipeline of each generation; to be read only."""
    folder = tmp_path_factory.mktemp(f"pipeline-{request.param}")
    return write_pipeline(folder, starter, version=request.param)


@pytest.fixture(scope="session")
def first_pipeline(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline of Stable Diffusion 1.x; to be read only."""
    return write_pipeline(tmp_path_factory.mktemp("pipeline"), starter, version=1)
