from pathlib import Path

import pytest

from styledag_tests.publishing.pipelines import (
    write_pipeline,
    write_sd3_pipeline,
    write_xl_pipeline,
)


@pytest.fixture(scope="session")
def first_pipeline(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline of Stable Diffusion 1.x; to be read only."""
    return write_pipeline(tmp_path_factory.mktemp("pipeline"), starter, version=1)


@pytest.fixture(scope="session")
def second_pipeline(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline of Stable Diffusion 2.x; to be read only."""
    return write_pipeline(tmp_path_factory.mktemp("pipeline"), starter, version=2)


@pytest.fixture(scope="session")
def xl_pipeline(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline of Stable Diffusion XL; to be read only."""
    return write_xl_pipeline(tmp_path_factory.mktemp("pipeline"), starter)


@pytest.fixture(scope="session")
def sd3_pipeline(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline of Stable Diffusion 3.5 with T5; to be read only."""
    return write_sd3_pipeline(tmp_path_factory.mktemp("sd3") / "base", starter, with_t5=True)


@pytest.fixture(scope="session")
def sd3_without_t5(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without T5; to be read only."""
    return write_sd3_pipeline(tmp_path_factory.mktemp("sd3") / "base", starter, with_t5=False)


@pytest.fixture(params=["first", "second", "xl"])
def pipeline(request: pytest.FixtureRequest) -> Path:
    """A tiny pipeline of each generation; to be read only."""
    return request.getfixturevalue(f"{request.param}_pipeline")
