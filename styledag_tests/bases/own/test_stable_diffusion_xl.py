"""What is Stable Diffusion XL's own; what it shares with all families is in test_families.py."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from styledag.bases.conditioning import Conditioning
from styledag.bases.find import find_base
from styledag.bases.latents import LatentScale
from styledag.bases.texts.clip import STATES
from styledag.bases.texts.clip_pair import POOLED
from styledag.errors import ModelError
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.tensors.layout import DIFFUSERS_LORA_FILE, KOHYA_LORA_FILE
from styledag.training.batches import Batches
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.recipe import LoraSettings, Recipe
from styledag.training.weights.lora import LoraAdapters
from styledag.training.weights.trainable import Trainable
from styledag_tests.bases.families.stable_diffusion_xl import FAMILY
from styledag_tests.bases.tiny_parts import change
from styledag_tests.training.conftest import encode_samples, make_samples


@pytest.fixture(scope="module")
def xl(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xl") / "base"
    return FAMILY.write(folder, starter / "stable-diffusion" / "tokenizer")


@pytest.fixture
def copy(xl: Path, tmp_path: Path) -> Path:
    return shutil.copytree(xl, tmp_path / "copy")


def test_the_empty_text_is_zeros_where_the_base_says_so(xl: Path, copy: Path) -> None:
    _, negative, _, negative_pooled = FAMILY.load(xl).encode_prompt("a cat", device="cpu")
    both = find_base(xl).text_encoder().encode(["a cat", ""])
    for name, expected in ((STATES, negative), (POOLED, negative_pooled)):
        assert not expected.any()
        assert torch.equal(both[name][1:], expected)
        assert both[name][0].any()
    change(copy / "model_index.json", force_zeros_for_empty_prompt=False)
    _, negative, _, negative_pooled = FAMILY.load(copy).encode_prompt("a cat", device="cpu")
    empty = find_base(copy).text_encoder().encode([""])
    assert negative.any()
    torch.testing.assert_close(empty[STATES], negative)
    torch.testing.assert_close(empty[POOLED], negative_pooled)


def test_the_shorter_limit_and_the_longer_count_are_its_own(copy: Path) -> None:
    assert find_base(copy).tokens.limit == 77
    assert find_base(copy).tokens.count("a cat") >= 4
    change(copy / "tokenizer_2" / "tokenizer_config.json", model_max_length=9)
    assert find_base(copy).tokens.limit == 9


def test_the_unet_is_told_each_image_s_original_size_and_crop(
    xl: Path, store: Store, workspace: Workspace
) -> None:
    whole, cut = make_samples(store, 2)
    cut = replace(cut, original_px=(200, 100), crop_px=(8, 0))
    encode_samples([whole, cut], xl, workspace)
    encoded = EncodedDataset.open(workspace.folder)
    base = find_base(xl)
    batches = Batches(encoded, Recipe(caption_dropout=0.0), base.objective())
    batch = batches.training_batch(encoded.train, 1)
    ids = [each.id for each in encoded.train]
    told = dict(zip(ids, batch.conditioning["time_ids"], strict=True))
    assert told[whole.id].tolist() == [16, 16, 0, 0, 16, 16]
    assert told[cut.id].tolist() == [100, 200, 0, 8, 16, 16]

    unet = base.denoiser()
    conditioning = batch.to(torch.device("cpu")).conditioning
    with torch.no_grad():
        found = base.predict(unet, batch.noise, batch.timesteps, conditioning)
        expected = unet(
            batch.noise,
            batch.timesteps,
            conditioning[STATES],
            added_cond_kwargs={
                "text_embeds": conditioning[POOLED],
                "time_ids": torch.stack([told[each.id] for each in encoded.train]).float(),
            },
        ).sample
        untold = {k: v for k, v in conditioning.tensors.items() if k != "time_ids"}
        other = base.predict(unet, batch.noise, batch.timesteps, Conditioning(untold))
    assert torch.equal(found, expected)
    of = {each.id: at for at, each in enumerate(encoded.train)}
    assert torch.equal(found[of[whole.id]], other[of[whole.id]])
    assert not torch.allclose(found[of[cut.id]], other[of[cut.id]])


def test_large_sizes_stay_exact_in_half_precision(xl: Path) -> None:
    values = find_base(xl).image_conditioning(
        original_px=(4095, 1023), crop_px=(1, 0), size_px=(1024, 1024)
    )
    (name, told) = next(iter(values.items()))
    batch = Conditioning({name: torch.tensor([told])}).to(dtype=torch.bfloat16)
    assert batch[name].tolist() == [[1023, 4095, 0, 1, 1024, 1024]]


def test_a_scale_for_each_channel_is_refused(copy: Path) -> None:
    change(copy / "vae" / "config.json", latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    with pytest.raises(ModelError, match="states latents_mean"):
        find_base(copy).latents.scale  # noqa: B018 - read for what it raises


def test_a_unet_of_stable_diffusion_is_refused(copy: Path, base: Path) -> None:
    shutil.rmtree(copy / "unet")
    shutil.copytree(base / "unet", copy / "unet")
    with pytest.raises(ModelError, match=r"addition_embed_type None, .* has 'text_time'"):
        find_base(copy).denoiser(device="meta")


def test_a_unet_of_xl_is_refused_by_stable_diffusion(xl: Path, base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(xl / "unet"))
    unet.save_pretrained(folder / "unet")
    with pytest.raises(ModelError, match=r"addition_embed_type 'text_time', .* has None"):
        find_base(folder).denoiser()


def test_size_and_scale_are_stated_by_the_configurations(xl: Path) -> None:
    base = find_base(xl)
    assert base.size_px == (16, 16)
    assert base.latents.scale == LatentScale(0.13025)


@pytest.mark.parametrize("file", [DIFFUSERS_LORA_FILE, KOHYA_LORA_FILE])
def test_adapters_of_the_embedder_of_sizes_are_read(xl: Path, tmp_path: Path, file: str) -> None:
    pytest.importorskip("peft")
    base = find_base(xl)
    recipe = Recipe(trained="unet", lora=LoraSettings(rank=4))
    unet = base.denoiser()
    adapters = LoraAdapters(unet, recipe, Trainable(base, recipe))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, each in adapters.parameters.items():
            if "add_embedding" in name:
                each.add_(torch.randn(each.shape, generator=generator))
    averages = {name: each.detach().clone() for name, each in adapters.parameters.items()}
    adapters.write(averages, tmp_path, "unet")
    pipeline = FAMILY.load(xl)
    given = base.text_encoder().encode(["a cat"])
    latents = torch.randn(1, *base.latents.shape(width_px=64, height_px=64), generator=generator)
    with torch.no_grad():
        before = base.predict(pipeline.unet, latents, torch.tensor([500]), given)
        pipeline.load_lora_weights(tmp_path, weight_name=file)
        theirs = base.predict(pipeline.unet, latents, torch.tensor([500]), given)
        ours = base.predict(unet, latents, torch.tensor([500]), given)
    moved = (ours - before).abs().max()
    assert moved > 1e-3
    assert (ours - theirs).abs().max() < 0.02 * moved
