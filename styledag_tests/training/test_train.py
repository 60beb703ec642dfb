import dataclasses
import json
import math
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from styledag.bases.conditioning import Conditioning
from styledag.bases.latents import Moments
from styledag.bases.texts.clip import STATES
from styledag.errors import DataError, ModelError, TrainingError
from styledag.models.compute import Compute
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.recipe import EmaSettings
from styledag.training.records import Snapshot
from styledag_tests.bases.loading import load_unet, load_vae
from styledag_tests.training.conftest import CPU, Encode, encode_samples, image, make_samples
from styledag_tests.training.training import RecordingProgress, train

NO_EMA = EmaSettings(mode="none")
ONE_BY_ONE = {"batch_size": 1, "gradient_accumulation": 1}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def base_weights(base: Path) -> dict[str, torch.Tensor]:
    return weights(base / "unet")


def test_one_image_can_be_overfitted(base: Path, encode: Encode, tmp_path: Path) -> None:
    result = train(
        encode(1),
        base,
        tmp_path,
        epochs=150,
        **ONE_BY_ONE,
        snapshot_every_epochs=150,
        save_state_every_steps=1000,
        lr_schedule="constant",
        caption_dropout=0.0,
        ema=NO_EMA,
    )
    losses = [each.loss for each in result.log]
    assert sum(losses[-30:]) < 0.6 * sum(losses[:30])


def test_log_tells_of_every_step_and_no_sample_is_lost(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    work: Counter[str] = Counter()
    progress = RecordingProgress()
    result = train(encode(13, validation=2), base, tmp_path, work=work, progress=progress)
    assert work == {"steps": 9}
    assert [each.step for each in result.log] == list(range(1, 10))
    assert [each.epoch for each in result.log] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [each.samples for each in result.log] == [4, 4, 3] * 3
    assert all(math.isfinite(each.loss) and each.grad_norm > 0 for each in result.log)
    assert progress.totals == [9]
    assert progress.done == 9
    assert progress.figures["loss"] == result.log[-1].loss
    assert progress.figures["images_per_s"] == pytest.approx(result.images_per_s)
    last = [each for each in result.log if each.epoch == 3]
    assert result.final.loss == pytest.approx(sum(e.loss * e.samples for e in last) / 11)


def test_accumulating_twice_two_equals_a_batch_of_four(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(7)
    one, other = (
        train(encoded, base, tmp_path / str(size), batch_size=size, gradient_accumulation=4 // size)
        for size in (2, 4)
    )
    for a, b in zip(one.log, other.log, strict=True):
        assert a.samples == b.samples
        assert a.loss == pytest.approx(b.loss, rel=1e-4)
        assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-3)


def test_snapshots_are_handed_over_while_training_runs(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    progress = RecordingProgress()

    def receive(snapshot: Snapshot) -> None:
        unet = load_unet(snapshot.folder, subfolder="")
        assert unet.config.cross_attention_dim == 32
        seen.append((snapshot.epoch, progress.done))

    result = train(
        encode(6, validation=2),
        base,
        tmp_path,
        on_snapshot=receive,
        progress=progress,
        epochs=5,
        snapshot_every_epochs=2,
    )
    assert seen == [(2, 2), (4, 4), (5, 5)]
    assert [each.epoch for each in result.snapshots] == [2, 4, 5]
    assert [each.folder.exists() for each in result.snapshots] == [False, False, True]
    assert all(each.validation_loss is not None for each in result.snapshots)
    assert result.final == result.snapshots[-1]


def test_snapshot_is_the_closed_form_of_base_and_trained_weights(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded, step = encode(2), {"epochs": 1, "lr_warmup_steps": 0, "weight_decay": 0.0}
    trained = train(encoded, base, tmp_path / "none", ema=NO_EMA, **step)
    averaged = train(
        encoded, base, tmp_path / "base", ema=EmaSettings(mode="base", base_share=0.3), **step
    )
    assert averaged.final.step == 1
    assert averaged.final.base_share == pytest.approx(0.3)
    assert trained.final.base_share == 0
    start, end = base_weights(base), weights(trained.final.folder)
    for name, average in weights(averaged.final.folder).items():
        expected = 0.3 * start[name] + 0.7 * end[name].float()
        torch.testing.assert_close(average.float(), expected, rtol=2e-3, atol=1e-4)


def test_first_step_is_that_of_torch_s_adamw(base: Path, encode: Encode, tmp_path: Path) -> None:
    """AdamW's first step is the learning rate along each gradient's sign, and weight decay."""
    rate = 1e-2
    result = train(
        encode(2),
        base,
        tmp_path,
        epochs=1,
        lr_warmup_steps=0,
        learning_rate=rate,
        weight_decay=0.5,
        adam_epsilon=1e-30,
        ema=NO_EMA,
    )
    start, end = base_weights(base), weights(result.final.folder)
    for name, tensor in end.items():
        moved = (tensor.float() - start[name] * (1 - rate * 0.5)).abs() / rate
        assert ((moved - 1).abs() < 0.1).float().mean() > 0.9, name


def test_only_the_chosen_layers_change(base: Path, encode: Encode, tmp_path: Path) -> None:
    result = train(encode(2), base, tmp_path, trained="cross_attention", ema=NO_EMA)
    start, end = base_weights(base), weights(result.final.folder)
    assert set(start) == set(end)
    for name, tensor in end.items():
        assert torch.equal(tensor, start[name].half()) != (".attn2." in name)


def test_same_run_gives_the_same_bytes_and_another_seed_does_not(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(4)
    torch.manual_seed(1)
    one = train(encoded, base, tmp_path / "one")
    torch.manual_seed(2)
    same = train(encoded, base, tmp_path / "somewhere" / "else")
    other = train(encoded, base, tmp_path / "other", seed=9)
    files = ("config.json", "diffusion_pytorch_model.safetensors")
    for file in files:
        assert (one.final.folder / file).read_bytes() == (same.final.folder / file).read_bytes()
    assert one.log == same.log
    assert weights(one.final.folder).keys() == weights(other.final.folder).keys()
    assert one.log != other.log
    config = json.loads((one.final.folder / "config.json").read_text())
    assert str(tmp_path.parent.parent) not in json.dumps(config)
    assert {each.dtype for each in weights(one.final.folder).values()} == {torch.float16}


def test_snapshot_gives_what_the_averages_give(base: Path, encode: Encode, tmp_path: Path) -> None:
    result = train(encode(4), base, tmp_path)
    unet = UNet2DConditionModel.from_pretrained(result.final.folder, low_cpu_mem_usage=False)
    sample = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    states = torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.isfinite(unet(sample, 5, states).sample).all()


def test_validation_loss_is_that_of_the_averaged_weights(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(6, validation=3)
    frozen = {"ema": EmaSettings(mode="base", decay=0.9999999), "epochs": 1, "lr_warmup_steps": 0}
    result = train(encoded, base, tmp_path / "frozen", **frozen)
    again = train(encoded, base, tmp_path / "again", learning_rate=0.1, **frozen)
    trained = train(
        encoded,
        base,
        tmp_path / "trained",
        epochs=1,
        ema=NO_EMA,
        learning_rate=0.1,
        lr_warmup_steps=0,
    )
    assert result.final.validation_loss == pytest.approx(again.final.validation_loss, rel=1e-3)
    assert trained.final.validation_loss != pytest.approx(result.final.validation_loss, rel=1e-2)
    alone = train(encode(3), base, tmp_path / "alone")
    assert alone.final.validation_loss is None


def test_bfloat16_autocast_trains_float32_weights(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(4)
    full = train(encoded, base, tmp_path / "full")
    half = train(
        encoded, base, tmp_path / "half", compute=Compute(torch.device("cpu"), torch.bfloat16)
    )
    assert half.log != full.log
    assert half.final.loss == pytest.approx(full.final.loss, rel=0.05)


def test_float16_is_refused(base: Path, encode: Encode, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="bfloat16"):
        train(encode(2), base, tmp_path, compute=dataclasses.replace(CPU, dtype=torch.float16))


def test_a_snapshot_whose_validation_loss_is_not_finite_is_none(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    """As of weights that the last step ruined, whose own loss was of the weights before it."""
    encoded = encode(3, validation=2)
    states = encoded.conditioning[STATES].clone()
    states[[each.captions[0] for each in encoded.validation]] = float("nan")
    poisoned = dataclasses.replace(encoded, conditioning=Conditioning({STATES: states}))
    with pytest.raises(TrainingError, match=r"validation loss after epoch 2 is nan.* up to none"):
        train(poisoned, base, tmp_path)
    assert not list((tmp_path / "snapshots").rglob("*.safetensors"))


def test_diverging_run_names_the_step_and_keeps_its_snapshots(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    received: list[bytes] = []

    def receive(snapshot: Snapshot) -> None:
        received.append((snapshot.folder / "config.json").read_bytes())

    encoded = encode(4)
    states = encoded.conditioning[STATES].clone()
    poisoned = dataclasses.replace(encoded, conditioning=Conditioning({STATES: states}))
    work: Counter[str] = Counter()

    def poison(snapshot: Snapshot) -> None:
        receive(snapshot)
        states.fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"optimiser step 2 .*nan.* up to epoch 1"):
        train(poisoned, base, tmp_path, on_snapshot=poison, snapshot_every_epochs=1, work=work)
    assert len(received) == 1
    assert work == {"steps": 1}
    assert len(list((tmp_path / "state").glob("step-00000001"))) == 1


def test_a_base_whose_weights_float16_cannot_hold_is_refused_before_the_first_step(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(3)
    large = shutil.copytree(base, tmp_path / "large")
    path = large / "unet" / "diffusion_pytorch_model.safetensors"
    stored = load_file(path)
    stored["conv_in.bias"][0] = 1e5
    save_file(stored, path, metadata={"format": "pt"})
    work: Counter[str] = Counter()
    with pytest.raises(TrainingError, match=r"conv_in\.bias of the base is 100000.*'bfloat16'"):
        train(encoded, large, tmp_path / "run", work=work)
    assert not work
    ways = {"epochs": 1, "lr_warmup_steps": 0, "snapshot_dtype": "bfloat16"}
    assert train(encoded, large, tmp_path / "run", **ways).snapshots


def test_out_of_memory_says_what_to_lower(
    base: Path, encode: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(UNet2DConditionModel, "forward", full)
    with pytest.raises(TrainingError, match="lower batch_size from 2") as caught:
        train(encode(2), base, tmp_path)
    assert "cross_attention" in str(caught.value)


def test_empty_training_split_is_refused(base: Path, encode: Encode, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="training split is empty"):
        train(encode(2, validation=2), base, tmp_path)


def test_dataset_of_another_base_is_refused(base: Path, encode: Encode, tmp_path: Path) -> None:
    encoded = encode(2)
    states = Conditioning({STATES: encoded.conditioning[STATES][..., :24]})
    narrow = dataclasses.replace(encoded, conditioning=states)
    with pytest.raises(ModelError, match=r"32.* 24 wide"):
        train(narrow, base, tmp_path)
    (bucket, moments), *_ = encoded.moments.items()
    narrow_moments = Moments(moments.mean[:, :, :3], moments.logvar[:, :, :3])
    fewer = dataclasses.replace(encoded, moments={bucket: narrow_moments})
    with pytest.raises(ModelError, match="4 channels, but the encoded dataset has 3"):
        train(fewer, base, tmp_path)


def test_starter_encodes_and_trains(
    starter: Path, store: Store, workspace: Workspace, tmp_path: Path
) -> None:
    base = starter / "stable-diffusion"
    size_px = load_vae(base).config.sample_size
    samples = [
        dataclasses.replace(each, image_sha256=store.blobs.put(image(number, size_px=size_px)))
        for number, each in enumerate(make_samples(store, 2))
    ]
    encode_samples(samples, base, workspace)
    encoded = EncodedDataset.open(workspace.folder)
    result = train(encoded, base, tmp_path / "scratch", epochs=1, lr_warmup_steps=0)
    assert {name: each.shape for name, each in weights(result.final.folder).items()} == {
        name: each.shape for name, each in base_weights(base).items()
    }
