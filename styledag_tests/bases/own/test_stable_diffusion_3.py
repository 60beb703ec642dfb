"""What is Stable Diffusion 3's own; what it shares with all families is in test_families.py."""

from pathlib import Path

import pytest
import torch

from styledag.bases.find import find_base
from styledag.bases.latents import LatentScale
from styledag.bases.stable_diffusion_3 import StableDiffusion3
from styledag.bases.texts.t5 import T5_STATES
from styledag.errors import DataError, ModelError
from styledag_tests.bases.families.stable_diffusion_3 import FAMILY, write_stable_diffusion_3
from styledag_tests.bases.tiny_parts import change


@pytest.fixture
def without_t5(starter: Path, tmp_path: Path) -> Path:
    tokenizer = starter / "stable-diffusion" / "tokenizer"
    return write_stable_diffusion_3(tmp_path / "without", tokenizer, with_t5=False)


@pytest.fixture
def with_t5(starter: Path, tmp_path: Path) -> Path:
    return FAMILY.write(tmp_path / "with", starter / "stable-diffusion" / "tokenizer")


def test_without_t5_its_states_are_zeros_and_its_parts_are_not_asked_for(without_t5: Path) -> None:
    base = find_base(without_t5)
    assert isinstance(base, StableDiffusion3)
    assert not {"text_encoder_3", "tokenizer_3"} & set(base.parts.sampling)
    pipeline = FAMILY.load(without_t5, text_encoder_3=None, tokenizer_3=None)
    expected, _, pooled, _ = pipeline.encode_prompt(
        ["a cat", "two"], None, None, device="cpu", do_classifier_free_guidance=False
    )
    ours = base.text_encoder().encode(["a cat", "two"])
    assert T5_STATES not in ours.tensors
    torch.testing.assert_close(base.joined_states(ours), expected)
    torch.testing.assert_close(ours["pooled_text_states"], pooled)
    assert base.tokens.limit == 77
    assert base.meta_conditioning(1).tensors.keys() == ours.tensors.keys()


def test_with_t5_its_limit_counts_and_the_clips_read_the_start(with_t5: Path) -> None:
    base = find_base(with_t5)
    words = " ".join(["a cat"] * 40)
    count = base.tokens.count(words)
    assert 77 < count <= base.tokens.limit == 256
    base.tokens.padded([words * 4], torch.device("cpu"))  # type: ignore[attr-defined]
    assert base.tokens.count(words) == count
    expected, *_ = FAMILY.load(with_t5).encode_prompt(
        [words], None, None, device="cpu", do_classifier_free_guidance=False
    )
    assert isinstance(base, StableDiffusion3)
    torch.testing.assert_close(base.joined_states(base.text_encoder().encode([words])), expected)


def test_sizes_are_multiples_of_the_patches(without_t5: Path) -> None:
    base = find_base(without_t5)
    assert base.size_px == (16, 16)
    assert base.latents.scale == LatentScale(1.5305, 0.0609)
    with pytest.raises(DataError, match="multiples of 4 px"):
        base.latents.shape(width_px=18, height_px=16)


def test_a_transformer_that_returns_fewer_channels_is_refused(without_t5: Path) -> None:
    change(without_t5 / "transformer" / "config.json", out_channels=3)
    with pytest.raises(ModelError, match="reads 6 channels and returns 3"):
        find_base(without_t5).denoiser(device="meta")
