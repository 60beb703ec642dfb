"""A fine-tune whose empty caption is held to what the base says of it."""

from pathlib import Path

import pytest
import torch

from styledag.bases.texts.clip import STATES
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.recipe import EmaSettings, LoraSettings, Recipe
from styledag_tests.bases.loading import load_unet
from styledag_tests.training.conftest import Encode
from styledag_tests.training.training import train

RAW = EmaSettings(mode="none")


def moved(encoded: EncodedDataset, base: Path, tuned: Path, caption: int) -> float:
    """Return how far what the UNet says of a caption is from what the base says."""
    latents = torch.randn(4, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    states = encoded.conditioning[STATES][[caption] * 4].float()
    timesteps = torch.tensor([100, 400, 700, 999])
    unets = load_unet(base), load_unet(tuned, subfolder="")
    with torch.no_grad():
        before, after = (unet(latents, timesteps, states).sample for unet in unets)
    return float((before - after).square().mean())


@pytest.mark.parametrize("lora", [None, LoraSettings(rank=2)])
def test_first_step_finds_nothing_to_learn_where_all_captions_are_dropped(
    base: Path, encode: Encode, tmp_path: Path, lora: LoraSettings | None
) -> None:
    result = train(
        encode(4),
        base,
        tmp_path,
        caption_dropout=0.999,
        dropped_captions="base",
        lora=lora,
    )
    assert result.log[0].loss == pytest.approx(0, abs=1e-6)


def test_empty_caption_stays_the_bases_while_others_learn(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(6)
    far = {}
    for taught in ("style", "base"):
        result = train(
            encoded,
            base,
            tmp_path / taught,
            epochs=20,
            snapshot_every_epochs=20,
            caption_dropout=0.5,
            dropped_captions=taught,
            ema=RAW,
        )
        spoken = encoded.train[0].captions[0]
        far[taught] = [
            moved(encoded, base, result.final.folder, at) for at in (encoded.empty_caption, spoken)
        ]
    assert far["base"][0] < 0.5 * far["style"][0]
    assert far["base"][0] < far["base"][1]


def test_no_caption_to_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"caption_dropout is 0: drop some"):
        Recipe(caption_dropout=0.0, dropped_captions="base")
