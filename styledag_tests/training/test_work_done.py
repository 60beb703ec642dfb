"""Work that training must not do, counted: encoding twice, and copies of the weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.training.averaging.ema import Ema
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.estimating.live_bytes import LiveBytes
from styledag.training.recipe import EmaSettings
from styledag_tests.bases.loading import load_unet
from styledag_tests.training.conftest import encode_samples, make_samples
from styledag_tests.training.training import train


def test_nothing_is_encoded_after_the_first_time(
    base: Path, store: Store, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, int] = {"vae": 0, "text": 0, "unet": 0}

    def counting(kind: type, method: str, name: str) -> None:
        original = getattr(kind, method)

        def counted(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(kind, method, counted)

    counting(AutoencoderKL, "encode", "vae")
    counting(CLIPTextModel, "forward", "text")
    counting(UNet2DConditionModel, "forward", "unet")
    samples = make_samples(store, 6, validation=1)
    encode_samples(samples, base, workspace)
    first = dict(calls)
    assert first["vae"] > 0
    assert first["text"] > 0
    encode_samples(samples, base, workspace)
    train(EncodedDataset.open(workspace.folder), base, tmp_path / "run", epochs=3)
    assert calls["unet"] > first["unet"]
    assert {name: calls[name] for name in ("vae", "text")} == {
        name: first[name] for name in ("vae", "text")
    }


@pytest.mark.parametrize(
    "settings",
    [EmaSettings(mode="base", base_share=0.2), EmaSettings(mode="warmup")],
    ids=["base", "warmup"],
)
def test_averaging_makes_no_copy_of_the_weights(base: Path, settings: EmaSettings) -> None:
    trained = dict(load_unet(base).named_parameters())
    ema = Ema(trained, settings, total_steps=10)
    live = LiveBytes([*trained.values(), *ema.averages.values()])
    with live:
        for _ in range(3):
            ema.update()
    assert live.allocated < 64


def test_a_copy_of_the_weights_would_be_seen(base: Path) -> None:
    trained = list(load_unet(base).parameters())
    live = LiveBytes(trained)
    with live, torch.no_grad():
        torch._foreach_sub(trained, trained)
    assert live.allocated == sum(each.nbytes for each in trained)
    assert live.live == 0
