"""Images decoded by another autoencoder than the base's."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from styledag.progress import SilentProgress
from styledag.sampling.evolution import draw_evolution
from styledag.sampling.index import read_frames
from styledag.sampling.provenance import read_provenance
from styledag.sampling.sampler import Sample, Sampler, TunedVae
from styledag.sampling.weights import Weights
from styledag.store.workspace import Workspace
from tools.starter.init import init_starter

MakeSampler = Callable[..., Sampler]
PAIR = ("a red apple", 0)


@pytest.fixture(scope="module")
def other_vae(tmp_path_factory: pytest.TempPathFactory) -> TunedVae:
    root = tmp_path_factory.mktemp("other")
    init_starter(root / "starter", seed=1)
    return TunedVae(root / "starter" / "stable-diffusion" / "vae", "v" * 64)


def drawn(sampler: Sampler, workspace: Workspace) -> Sample:
    with SilentProgress().task("samples", None) as advance:
        return sampler.draw([PAIR], workspace, advance)[0]


def with_vae(sampler: Sampler, vae: TunedVae) -> Sampler:
    return sampler.with_weights(sampler.weights, vae=vae)


def test_it_decodes_and_is_part_of_the_images_provenance(
    make_sampler: MakeSampler, workspace: Workspace, other_vae: TunedVae
) -> None:
    plain = make_sampler()
    before, after = (drawn(each, workspace) for each in (plain, with_vae(plain, other_vae)))
    assert ImageChops.difference(before.image, after.image).getbbox() is not None
    assert "vae_version" not in read_provenance(before.png)
    assert read_provenance(after.png)["vae_version"] == other_vae.version


def test_the_same_weights_elsewhere_draw_the_same_image(
    make_sampler: MakeSampler, workspace: Workspace, base: Path
) -> None:
    plain = make_sampler()
    before, after = (
        drawn(each, workspace) for each in (plain, with_vae(plain, TunedVae(base / "vae", "copy")))
    )
    assert ImageChops.difference(before.image, after.image).getbbox() is None
    assert workspace.work["samples"] == 2


def pixels(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("RGB").tobytes()


def test_an_evolution_begins_with_the_base_as_it_is(
    make_sampler: MakeSampler, workspace: Workspace, base: Path, other_vae: TunedVae
) -> None:
    same = Weights.stored("same", base / "unet")
    draw_evolution(make_sampler(), {1: same}, workspace, vae=other_vae)
    frames = read_frames(workspace.folder)
    first, last = (frames[epoch][PAIR].read_bytes() for epoch in (0, 1))
    assert pixels(first) == pixels(drawn(make_sampler(), workspace).png)
    assert read_provenance(last)["vae_version"] == other_vae.version
