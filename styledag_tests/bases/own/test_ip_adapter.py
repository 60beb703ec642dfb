"""Images as prompts, against the call of diffusers' own pipeline."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from styledag.bases.find import find_base
from styledag.bases.ip_adapter import IpAdapter, ip_adapter_base
from styledag.errors import ModelError
from styledag.models.compute import Compute
from styledag.randomness import generator_for
from styledag.sampling.sampler import Sampler
from styledag.sampling.settings import SampleSettings
from styledag_tests.bases.families import tiny_families
from styledag_tests.bases.tiny_ip_adapter import (
    HIDDEN,
    IMAGE_ENCODER,
    PROJECTED,
    WEIGHTS,
    Layout,
    write_ip_adapter,
)
from styledag_tests.bases.tiny_parts import change

CPU = Compute(torch.device("cpu"), torch.float32)
FAMILIES = tiny_families()
PAIR = ("a red apple", 3)


@pytest.fixture(scope="module")
def folder_of(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write the base of a family when it is first asked for."""
    root = tmp_path_factory.mktemp("families")

    @cache
    def written(name: str) -> Path:
        return FAMILIES[name].write(root / name, starter / "stable-diffusion" / "tokenizer")

    return written


@pytest.fixture
def adapter_for(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> Callable[[str, Layout, int], IpAdapter]:
    """Make an adapter for a family, with so many images."""

    def adapter(name: str, layout: Layout = "plain", images: int = 1) -> IpAdapter:
        folder = write_ip_adapter(tmp_path / name, folder_of(name) / "unet", layout)
        return IpAdapter(
            weights=folder / WEIGHTS,
            image_encoder=folder / IMAGE_ENCODER,
            version="1",
            scale=0.7,
            images=dict(written_images(tmp_path, images)),
        )

    return adapter


def written_images(folder: Path, count: int) -> list[tuple[str, Path]]:
    random, paths = np.random.default_rng(0), []
    for at in range(count):
        path = folder / f"{at}.jpg"
        Image.fromarray(random.integers(0, 255, (24, 20 + at, 3), np.uint8)).save(path)
        paths.append((str(at), path))
    return paths


def shapes_of(path: Path) -> Mapping[str, tuple[int, ...]]:
    with safe_open(path, "np") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def latents(folder: Path, guidance_scale: float, adapter: IpAdapter | None) -> torch.Tensor:
    settings = SampleSettings(
        prompts=(PAIR[0],),
        seeds=(PAIR[1],),
        scheduler="ddim",
        num_inference_steps=3,
        guidance_scale=guidance_scale,
    )
    sampler = Sampler(
        folder, settings, CPU, base_version="b", width_px=16, height_px=16, ip_adapter=adapter
    )
    *_, last = sampler.denoiser.denoise([PAIR])
    return last


@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
@pytest.mark.parametrize(("layout", "images"), [("plain", 1), ("plain", 3), ("plus", 2)])
@pytest.mark.parametrize("name", ["stable_diffusion", "stable_diffusion_xl"])
def test_latents_are_the_pipelines(
    folder_of: Callable[[str], Path],
    adapter_for: Callable[..., IpAdapter],
    name: str,
    layout: Layout,
    images: int,
    guidance_scale: float,
) -> None:
    family, folder, adapter = FAMILIES[name], folder_of(name), adapter_for(name, layout, images)
    root = adapter.weights.parent
    pipeline = family.load(folder)
    pipeline.load_ip_adapter(
        str(root), subfolder="", weight_name=adapter.weights.name, low_cpu_mem_usage=False
    )
    pipeline.set_ip_adapter_scale(adapter.scale)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    expected = pipeline(
        **family.prompted(PAIR[0], ""),
        ip_adapter_image=[[Image.open(each) for each in adapter.images.values()]],
        num_inference_steps=3,
        guidance_scale=guidance_scale,
        width=16,
        height=16,
        generator=generator_for("sample", *PAIR),
        output_type="latent",
    ).images
    ours = latents(folder, guidance_scale, adapter)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(ours, latents(folder, guidance_scale, None), atol=1e-2)


@pytest.mark.parametrize("name", ["stable_diffusion", "stable_diffusion_xl"])
def test_at_scale_0_the_base_draws_its_own_image(
    folder_of: Callable[[str], Path], adapter_for: Callable[..., IpAdapter], name: str
) -> None:
    given = adapter_for(name)
    off = IpAdapter(**{**vars(given), "scale": 0.0})
    assert torch.equal(latents(folder_of(name), 5.0, off), latents(folder_of(name), 5.0, None))


def test_a_denoiser_with_an_adapter_is_not_compiled(
    folder_of: Callable[[str], Path],
    adapter_for: Callable[..., IpAdapter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: used.append(self))
    settings = SampleSettings(prompts=(PAIR[0],), seeds=(PAIR[1],), num_inference_steps=2)
    compute, folder = replace(CPU, compile=True), folder_of("stable_diffusion")
    for adapter in (adapter_for("stable_diffusion"), None):
        assert not used
        drawing = Sampler(folder, settings, compute, base_version="b", ip_adapter=adapter)
        deque(drawing.denoiser.denoise([PAIR]), maxlen=0)
    assert used


def test_adapter_scale_and_images_decide_the_key_of_an_image(
    folder_of: Callable[[str], Path], adapter_for: Callable[..., IpAdapter]
) -> None:
    given = vars(adapter_for("stable_diffusion", "plain", 2))
    first = dict(list(given["images"].items())[:1])
    changes: list[dict[str, Any]] = [{}, {"version": "2"}, {"scale": 0.5}, {"images": first}]
    adapters = [None, *(IpAdapter(**{**given, **each}) for each in changes)]
    settings = SampleSettings(prompts=(PAIR[0],), seeds=(PAIR[1],))
    keys = {
        Sampler(
            folder_of("stable_diffusion"), settings, CPU, base_version="b", ip_adapter=each
        ).image_key(PAIR)
        for each in adapters
    }
    assert len(keys) == len(adapters)


@pytest.mark.parametrize(
    "name", sorted(FAMILIES.keys() - {"stable_diffusion", "stable_diffusion_xl"})
)
def test_a_family_without_adapters_is_refused_by_name(
    folder_of: Callable[[str], Path], name: str
) -> None:
    base = find_base(folder_of(name))
    with pytest.raises(ModelError, match=rf"is a {base.family}, for which .* no IP-Adapter"):
        ip_adapter_base(base)


@pytest.mark.parametrize("layout", ["plain", "plus"])
def test_one_that_fits_is_accepted(
    folder_of: Callable[[str], Path], adapter_for: Callable[..., IpAdapter], layout: Layout
) -> None:
    adapter = adapter_for("stable_diffusion", layout)
    base = ip_adapter_base(find_base(folder_of("stable_diffusion")))
    base.check_ip_adapter(shapes_of(adapter.weights), adapter.image_encoder)


@pytest.mark.parametrize(
    ("layout", "changed", "message"),
    [
        ("plain", {"cross_attention_dim": 768}, r"text states of width 32, .* base's are 768"),
        ("plain", {"projection_dim": 8}, rf"projection_dim {PROJECTED}, .* is 8"),
        ("plus", {"hidden_size": 8}, rf"hidden_size {HIDDEN}, .* is 8"),
    ],
)
def test_one_of_another_width_is_refused(
    starter: Path,
    folder_of: Callable[[str], Path],
    adapter_for: Callable[..., IpAdapter],
    tmp_path: Path,
    layout: Layout,
    changed: dict[str, int],
    message: str,
) -> None:
    adapter = adapter_for("stable_diffusion", layout)
    family = FAMILIES["stable_diffusion"]
    folder = family.write(tmp_path / "base", starter / "stable-diffusion" / "tokenizer")
    of_base = "cross_attention_dim" in changed
    where = folder / "unet" if of_base else adapter.image_encoder
    change(where / "config.json", **changed)
    with pytest.raises(ModelError, match=message):
        ip_adapter_base(find_base(folder)).check_ip_adapter(
            shapes_of(adapter.weights), adapter.image_encoder
        )


def test_other_weights_are_refused(
    folder_of: Callable[[str], Path], adapter_for: Callable[..., IpAdapter]
) -> None:
    adapter = adapter_for("stable_diffusion")
    base = ip_adapter_base(find_base(folder_of("stable_diffusion")))
    save_file({"unet.weight": torch.zeros(2, 2)}, adapter.weights)
    with pytest.raises(ModelError, match=r"lacks ip_adapter\.1\.to_k_ip\.weight"):
        base.check_ip_adapter(shapes_of(adapter.weights), adapter.image_encoder)
    with pytest.raises(ModelError, match=r"adapter\.safetensors cannot be loaded"):
        base.load_ip_adapter(base.denoiser(), adapter)
