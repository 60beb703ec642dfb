"""The stage's function with a captioner of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from styledag.bases.texts.clip import ClipTokens
from styledag.captions.caption import caption_images
from styledag.captions.records import CaptionedImage
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.captions.endpoint_server import Server
from styledag_tests.captions.narrator import SETTINGS, Narrator


@pytest.fixture(scope="module")
def tokens(starter: Path) -> ClipTokens:
    return ClipTokens(starter / "stable-diffusion")


@pytest.fixture
def caption(workspace: Workspace, tokens: ClipTokens):
    def run(manifest, settings=SETTINGS, captioner=None, **more) -> Manifest[CaptionedImage]:
        workspace.work.clear()
        return caption_images(
            manifest, settings, workspace, captioner=captioner or Narrator(), tokens=tokens, **more
        )

    return run


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that answers about images."""
    server = Server()
    yield server
    server.close()
