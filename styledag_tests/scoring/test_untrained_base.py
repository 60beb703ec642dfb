"""Which training images an IP-Adapter is shown."""

import hashlib
from pathlib import Path

import pytest

from styledag.models.reference import ResolvedModel
from styledag.scoring.settings import IpAdapterSettings
from styledag.scoring.untrained_base import adapter_with_images
from styledag.store.workspace import Workspace


def settings(images: int) -> IpAdapterSettings:
    return IpAdapterSettings(
        model="adapter", weights="a.safetensors", image_encoder="encoder", images=images
    )


@pytest.fixture
def families(workspace: Workspace) -> dict[str, str]:
    """Nine images of three families, by blob."""
    return {workspace.blobs.put(bytes([at])): f"family {at % 3}" for at in range(9)}


def shown(families: dict[str, str], images: int, workspace: Workspace) -> dict[str, Path]:
    model = ResolvedModel(settings(images), Path("/adapter"), "version")
    adapter = adapter_with_images(settings(images), model, families, workspace)
    assert adapter.weights == Path("/adapter/a.safetensors")
    assert adapter.image_encoder == Path("/adapter/encoder")
    assert (adapter.version, adapter.scale) == ("version", 0.5)
    return dict(adapter.images)


@pytest.mark.parametrize(("images", "count"), [(1, 1), (2, 2), (3, 3), (16, 3)])
def test_one_of_each_family_is_shown_whatever_their_order(
    families: dict[str, str], workspace: Workspace, images: int, count: int
) -> None:
    found = shown(families, images, workspace)
    assert len({families[sha256] for sha256 in found}) == len(found) == count
    assert next(iter(found)) == min(families)
    turned = dict(sorted(families.items(), reverse=True))
    assert shown(turned, images, workspace) == found
    for sha256, path in found.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def test_a_further_image_of_a_family_changes_nothing_unless_it_comes_first(
    families: dict[str, str], workspace: Workspace
) -> None:
    last = max(families)
    fewer = {sha256: each for sha256, each in families.items() if sha256 != last}
    assert shown(fewer, 3, workspace) == shown(families, 3, workspace)
