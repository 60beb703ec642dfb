"""Whichever way a checkpoint is stored, it is read as the UNet that training handed over."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from styledag.errors import ModelError, StorageError
from styledag.graph.checkpoint_unets import store_unet, whole_unet
from styledag.store.artifact import Artifact, Facts
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace
from styledag.tensors.delta import DELTA_FILE
from styledag.tensors.layout import WEIGHTS_FILE
from styledag.tensors.values import weights_version
from styledag_tests.bases.loading import load_unet, save_unet

Publish = Callable[..., Artifact]


@pytest.fixture(scope="module")
def base(starter: Path) -> Path:
    return starter / "stable-diffusion" / "unet"


@pytest.fixture(scope="module")
def unet(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A UNet as training hands it over: a little beside the base."""
    folder = tmp_path_factory.mktemp("training") / "unet"
    model = load_unet(base, subfolder="")
    averages = {name: each.detach() * 1.001 for name, each in model.named_parameters()}
    save_unet(model, averages, folder)
    return folder


@pytest.fixture
def publish(store: Store, unet: Path, base: Path) -> Publish:
    def published(form: str, *names: str) -> Artifact:
        def body(workspace: Workspace) -> Facts:
            for name in names:
                stored = store_unet(unet, workspace.folder / name, base=base, form=form)  # type: ignore[arg-type]
            return {"bytes": stored.stored, "bytes_full": stored.full}

        target = Target(asset="checkpoint", partition="a.b/e001", code_version=form)
        return store.build(target, body).artifact

    return published


@pytest.mark.parametrize("form", ["full", "delta"])
@pytest.mark.parametrize(("name", "second"), [("unet", False), ("unet_second", True)])
def test_what_is_read_is_what_was_handed_over(
    publish: Publish,
    store: Store,
    unet: Path,
    base: Path,
    tmp_path: Path,
    form: str,
    name: str,
    second: bool,
) -> None:
    checkpoint = publish(form, "unet", "unet_second")
    with whole_unet(checkpoint, base=base, scratch=tmp_path / "scratch", second=second) as folder:
        assert folder.name == name
        for file in (WEIGHTS_FILE, "config.json"):
            assert (folder / file).read_bytes() == (unet / file).read_bytes()
        read, handed_over = (
            weights_version(each, known_as=None, items=store.items) for each in (folder, unet)
        )
        assert read == handed_over
        assert load_unet(folder, subfolder="", dtype=torch.float16).conv_in.bias is not None
    assert not list((tmp_path / "scratch").rglob("*.safetensors"))
    checkpoint.verify()


def test_a_difference_takes_fewer_bytes_and_says_how_many(publish: Publish, unet: Path) -> None:
    full, delta = publish("full", "unet"), publish("delta", "unet")
    assert full.facts["bytes"] == full.facts["bytes_full"] == (unet / WEIGHTS_FILE).stat().st_size
    assert delta.facts["bytes_full"] == full.facts["bytes"]
    stored = (delta.folder / "unet" / DELTA_FILE).stat().st_size
    assert delta.facts["bytes"] == stored < full.facts["bytes"] / 2
    assert set(load_file(delta.folder / "unet" / DELTA_FILE)) == set(load_file(unet / WEIGHTS_FILE))


def test_another_base_leaves_nothing_behind(publish: Publish, unet: Path, tmp_path: Path) -> None:
    checkpoint = publish("delta", "unet")
    with (
        pytest.raises(ModelError, match="another base"),
        whole_unet(checkpoint, base=unet, scratch=tmp_path / "scratch"),
    ):
        pytest.fail("it was lent")
    assert not list((tmp_path / "scratch").rglob("*.safetensors"))


def test_a_unet_that_was_never_stored_is_named(
    publish: Publish, base: Path, tmp_path: Path
) -> None:
    checkpoint = publish("full", "unet")
    with (
        pytest.raises(StorageError, match="holds no unet_second: materialise"),
        whole_unet(checkpoint, base=base, scratch=tmp_path, second=True),
    ):
        pytest.fail("it was lent")
