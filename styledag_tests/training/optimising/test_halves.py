"""A training on a CPU that computes the halves of each batch at the same time."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from styledag.training.recipe import EmaSettings, LoraSettings
from styledag_tests.training.conftest import Encode
from styledag_tests.training.training import train


@pytest.mark.parametrize(("lora", "checkpointing"), [(None, False), (LoraSettings(rank=2), True)])
def test_halves_train_as_the_whole_batch_does_and_to_the_same_bits_each_time(
    base: Path, encode: Encode, tmp_path: Path, lora: LoraSettings | None, checkpointing: bool
) -> None:
    encoded = encode(6)
    results = [
        train(
            encoded,
            base,
            tmp_path / str(number),
            threads=threads,
            batch_size=5,
            gradient_accumulation=1,
            epochs=2,
            lora=lora,
            gradient_checkpointing=checkpointing,
            caption_dropout=0.5,
            dropped_captions="base",
            ema=EmaSettings(mode="none"),
        )
        for number, threads in enumerate((1, 2, 2))
    ]
    whole, halves, again = (
        load_file(next(each.final.folder.rglob("*.safetensors"))) for each in results
    )
    assert all(torch.equal(halves[name], again[name]) for name in whole)
    for name, weight in whole.items():
        torch.testing.assert_close(halves[name], weight, atol=1e-4, rtol=1e-2)
    for one, other in zip(*(each.log for each in results[:2]), strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-4)
        assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-3)
