from pathlib import Path

import pytest

from styledag_tests.publishing.conftest import (  # noqa: F401 - fixtures
    first_pipeline,
    pipeline,
    sd3_pipeline,
    sd3_without_t5,
    second_pipeline,
    xl_pipeline,
)


@pytest.fixture(autouse=True)
def assets(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders that are made of single files lie, in this test alone."""
    folder = tmp_path_factory.mktemp("assets")
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(folder))
    return folder
