from pathlib import Path

import torch
from PIL import Image

from styledag.models.compute import Compute
from styledag.sampling.marking import TRAINED_ALGORITHMIC_MEDIA, mark_png
from styledag.sampling.prior_images import prior_samples
from styledag.store.workspace import Workspace
from styledag.training.encoding.image_sizes import image_sizes
from styledag.training.recipe import PriorSettings
from styledag_tests.bases.families import tiny_families

CPU = Compute(torch.device("cpu"), torch.float32)
PRIOR = PriorSettings(class_prompt="a drawing", images=2, num_inference_steps=2, guidance_scale=0)


def test_class_images_are_drawn_once_and_come_in_every_shape(
    base: Path, workspace: Workspace
) -> None:
    def drawn(prior: PriorSettings) -> list:
        workspace.work.clear()
        return prior_samples(
            prior,
            base,
            [(64, 64), (72, 56), (64, 64)],
            base_version="b",
            compute=CPU,
            workspace=workspace,
        )

    samples = drawn(PRIOR)
    assert workspace.work == {"samples": 2}
    assert len({each.id for each in samples}) == len(samples) == 4
    assert {(each.split, each.caption, each.family) for each in samples} == {
        ("prior", "a drawing", "")
    }
    assert all(
        TRAINED_ALGORITHMIC_MEDIA.encode() in workspace.blobs.read(each.image_sha256)
        for each in samples
    )
    sizes = image_sizes(samples, workspace)
    assert [sizes[each.image_sha256] for each in samples] == [(64, 64), (72, 56)] * 2
    assert drawn(PRIOR) == samples
    assert not workspace.work
    more = drawn(PriorSettings(**{**vars(PRIOR), "images": 3, "loss_weight": 0.5}))
    assert more[:4] == samples
    assert workspace.work == {"samples": 1}


def test_images_of_the_base_s_size_are_those_of_the_sampler(
    base: Path, workspace: Workspace, make_sampler
) -> None:
    sampler = make_sampler(
        prompts=("a drawing",), seeds=(0, 1), num_inference_steps=2, guidance_scale=1.0
    )
    expected = sampler.draw(sampler.pairs, workspace, lambda *_: None)
    samples = prior_samples(
        PRIOR, base, [(64, 64)], base_version=sampler.base_version, compute=CPU, workspace=workspace
    )
    assert [workspace.blobs.read(each.image_sha256) for each in samples] == [
        mark_png(each.png) for each in expected
    ]
    with Image.open(workspace.blobs.path(samples[0].image_sha256)) as image:
        assert image.size == (64, 64)


def test_a_class_is_drawn_with_the_base_s_usual_guidance_unless_another_is_named(
    starter: Path, tmp_path: Path, workspace: Workspace
) -> None:
    flow = tiny_families()["flux2_klein"].write(
        tmp_path, starter / "stable-diffusion" / "tokenizer"
    )

    def drawn(**changes: float) -> str:
        prior = PriorSettings(class_prompt="a drawing", images=1, num_inference_steps=2, **changes)  # type: ignore[arg-type]
        samples = prior_samples(
            prior, flow, [(32, 32)], base_version="b", compute=CPU, workspace=workspace
        )
        return samples[0].image_sha256

    assert drawn() == drawn(guidance_scale=4.0)
    assert drawn() != drawn(guidance_scale=7.5)


def test_a_base_that_is_drawn_with_another_sampler_draws_the_class(
    starter: Path, tmp_path: Path, workspace: Workspace
) -> None:
    flow = tiny_families()["stable_diffusion_3"].write(
        tmp_path, starter / "stable-diffusion" / "tokenizer"
    )
    samples = prior_samples(
        PRIOR, flow, [(32, 32)], base_version="b", compute=CPU, workspace=workspace
    )
    assert len(samples) == 2
