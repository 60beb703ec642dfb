import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from styledag.bases.latents import Moments
from styledag.errors import DataError, ModelError, StorageError, TrainingError
from styledag.models.compute import Compute
from styledag.store.workspace import Workspace
from styledag.tensors.layout import WEIGHTS_FILE
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.encoding.encoders import encoding_dtype
from styledag_tests.bases.loading import load_vae
from styledag_tests.training.conftest import Encode
from styledag_tests.training.decoding import images, tune
from styledag_tests.training.training import RecordingProgress

TOTAL_STEPS = 9
"""Three epochs of 2 + 2 + 1 images."""
_DECODER = ("decoder.", "post_quant_conv.")


@pytest.fixture
def encoded(encode: Encode) -> EncodedDataset:
    return encode(7, validation=2)


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS_FILE).read_bytes()


def test_a_short_fine_tune_reconstructs_images_it_never_saw_better(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(20, validation=4)
    result = tune(encoded, base, tmp_path, epochs=8, batch_size=4)
    assert result.error < 0.8 * result.base_error

    def error(vae: AutoencoderKL) -> float:
        """Squared error of the held-out images from their posteriors' means."""
        total = 0.0
        for sample in encoded.validation:
            pixels = images(sample)
            mean = vae.encode(pixels[None]).latent_dist.mean
            total += float((vae.decode(mean).sample[0] - pixels).square().mean())
        return total

    with torch.no_grad():
        tuned = error(load_vae(result.folder, subfolder=""))
        assert tuned < 0.8 * error(load_vae(base))


def test_the_encoder_stays_as_it_is_to_the_last_bit(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    result = tune(encoded, base, tmp_path)
    tuned, before = load_file(result.folder / WEIGHTS_FILE), load_file(base / "vae" / WEIGHTS_FILE)
    assert tuned.keys() == before.keys()
    for name, tensor in tuned.items():
        same = tensor.numpy().tobytes() == before[name].numpy().tobytes()
        assert same is not name.startswith(_DECODER), name
    config = (base / "vae" / "config.json").read_bytes()
    assert (result.folder / "config.json").read_bytes() == config


def test_the_average_is_the_closed_form_of_all_steps(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    decay, name = 0.7, "decoder.conv_out.bias"
    average = load_file(base / "vae" / WEIGHTS_FILE)[name]
    for epochs in (1, 2, 3):
        one_step = {"epochs": epochs, "batch_size": 5}
        trained = tune(encoded, base, tmp_path / f"{epochs}-raw", ema_decay=0.0, **one_step)
        average = decay * average + (1 - decay) * load_file(trained.folder / WEIGHTS_FILE)[name]
        averaged = tune(encoded, base, tmp_path / str(epochs), ema_decay=decay, **one_step)
        torch.testing.assert_close(load_file(averaged.folder / WEIGHTS_FILE)[name], average)
        assert averaged.base_share == pytest.approx(decay**epochs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_number_format_is_the_bases_own(
    base: Path, encoded: EncodedDataset, tmp_path: Path, dtype: torch.dtype
) -> None:
    shutil.copytree(base, tmp_path / "base")
    tensors = load_file(base / "vae" / WEIGHTS_FILE)
    tensors = {name: each.to(dtype) for name, each in tensors.items()}
    save_file(tensors, tmp_path / "base" / "vae" / WEIGHTS_FILE)
    result = tune(encoded, tmp_path / "base", tmp_path / "scratch", epochs=1)
    assert {each.dtype for each in load_file(result.folder / WEIGHTS_FILE).values()} == {dtype}


def test_attention_may_have_the_names_of_old_files(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    new_names = tune(encoded, base, tmp_path / "new")
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}

    def old_name(name: str) -> str:
        for new, of_old in old.items():
            name = name.replace(new, of_old)
        return name

    shutil.copytree(base, tmp_path / "base")
    tensors = load_file(base / "vae" / WEIGHTS_FILE)
    renamed = {old_name(name): each for name, each in tensors.items()}
    assert renamed.keys() != tensors.keys()
    save_file(renamed, tmp_path / "base" / "vae" / WEIGHTS_FILE)
    result = tune(encoded, tmp_path / "base", tmp_path / "scratch")
    expected = load_file(new_names.folder / WEIGHTS_FILE)
    written = load_file(result.folder / WEIGHTS_FILE)
    assert written.keys() == renamed.keys()
    assert all(torch.equal(written[old_name(name)], each) for name, each in expected.items())


@pytest.mark.parametrize(
    "die_at",
    [{"step": 6, "write": 0}, pytest.param({"step": 0, "write": 3}, marks=pytest.mark.slow)],
)
def test_a_killed_run_ends_in_the_weights_of_an_undisturbed_one(
    base: Path,
    encoded: EncodedDataset,
    workspace: Workspace,
    tmp_path: Path,
    die_at: dict[str, int],
) -> None:
    undisturbed = tune(encoded, base, tmp_path / "undisturbed")
    task = die_at | {
        "encoded": str(workspace.folder),
        "base": str(base),
        "scratch": str(tmp_path / "killed"),
    }
    killed = subprocess.run(
        [sys.executable, "-m", "styledag_tests.training.decoding", json.dumps(task)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    work: Counter[str] = Counter()
    progress = RecordingProgress()
    resumed = tune(encoded, base, tmp_path / "killed", work=work, progress=progress)
    assert work == {"decoder_steps": TOTAL_STEPS - 4}
    assert (progress.totals, progress.done) == ([TOTAL_STEPS], TOTAL_STEPS)
    assert resumed.log == undisturbed.log
    assert weights(resumed.folder) == weights(undisturbed.folder)


def test_a_finished_run_does_nothing_and_gives_the_same(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    first = tune(encoded, base, tmp_path)
    before = weights(first.folder)
    shutil.rmtree(first.folder)
    work: Counter[str] = Counter()
    again = tune(encoded, base, tmp_path, work=work)
    assert not work
    assert weights(again.folder) == before
    assert (again.error, again.base_error) == (first.error, first.base_error)


def test_the_blends_weight_does_not_change_the_tuned_decoder(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    first = tune(encoded, base, tmp_path)
    work: Counter[str] = Counter()
    assert weights(tune(encoded, base, tmp_path, work=work, weight=0.5).folder) == weights(
        first.folder
    )
    assert not work


def test_settings_of_the_unets_optimiser_do_not_change_the_tuned_decoder(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    unets_own = {"block_rates": {"up.0": 0.5}, "optimizer": "adafactor", "learning_rate": 0.5}
    runs = [
        tune(encoded, base, tmp_path / str(number), recipe=recipe, epochs=1)
        for number, recipe in enumerate(({}, unets_own))
    ]
    assert weights(runs[0].folder) == weights(runs[1].folder)


@pytest.mark.parametrize("name", ["base_vae", "image_dataset"])
def test_a_state_of_other_inputs_is_not_resumed_from(
    base: Path, encoded: EncodedDataset, tmp_path: Path, name: str
) -> None:
    inputs = {"base_vae": "1", "image_dataset": "1"}
    tune(encoded, base, tmp_path, inputs=inputs, epochs=1)
    work: Counter[str] = Counter()
    tune(encoded, base, tmp_path, inputs=inputs | {name: "2"}, epochs=1, work=work)
    assert work == {"decoder_steps": 3}


def test_another_run_seed_gives_other_weights(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    runs = [
        tune(encoded, base, tmp_path / str(seed), recipe={"seed": seed}, epochs=1)
        for seed in (0, 1)
    ]
    assert weights(runs[0].folder) != weights(runs[1].folder)


def test_images_of_several_shapes_are_all_seen_and_never_mixed(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    whole = encode(11)
    ((square, moments),) = whole.moments.items()
    wide = Moments(moments.mean[:, :, :, :4], moments.logvar[:, :, :, :4])
    encoded = replace(
        whole,
        samples=tuple(
            replace(each, bucket="wide") if each.row % 2 else each for each in whole.samples
        ),
        moments={square: moments, "wide": wide},
    )

    def images_of(sample: Any) -> Any:
        return images(sample)[:, :8] if sample.row % 2 else images(sample)

    result = tune(encoded, base, tmp_path, images_of=images_of, batch_size=4, epochs=2)
    # 6 of one shape and 5 of the other: 4 + 2 and 4 + 1.
    for epoch in (1, 2):
        sizes = [each.samples for each in result.log if each.epoch == epoch]
        assert sorted(sizes) == [1, 2, 4, 4]


def test_bfloat16_learns_too(base: Path, encode: Encode, tmp_path: Path) -> None:
    compute = Compute(torch.device("cpu"), torch.bfloat16)
    assert encoding_dtype(compute) == torch.bfloat16
    result = tune(encode(10, validation=2), base, tmp_path, compute=compute, epochs=8)
    assert result.error < 0.9 * result.base_error
    assert {each.dtype for each in load_file(result.folder / WEIGHTS_FILE).values()} == {
        torch.float32
    }


def test_float16_is_refused(base: Path, encoded: EncodedDataset, tmp_path: Path) -> None:
    compute = Compute(torch.device("cpu"), torch.float16)
    with pytest.raises(TrainingError, match="overflows in float16: set dtype to bfloat16"):
        tune(encoded, base, tmp_path, compute=compute)


def test_nan_is_refused_and_the_state_before_stays(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    undisturbed = tune(encoded, base, tmp_path / "undisturbed")
    shown: Counter[str] = Counter()

    def spoilt(sample: Any) -> Any:
        shown["images"] += 1
        # The two held-out ones, then five a round.
        return images(sample) * (float("nan") if shown["images"] == 2 + 5 + 1 else 1)

    with pytest.raises(TrainingError, match=r"step 4 of the decoder \(epoch 2\) has loss nan"):
        tune(encoded, base, tmp_path / "spoilt", images_of=spoilt)
    work: Counter[str] = Counter()
    mended = tune(encoded, base, tmp_path / "spoilt", work=work)
    assert work == {"decoder_steps": TOTAL_STEPS - 2}
    assert weights(mended.folder) == weights(undisturbed.folder)


def test_a_weight_that_the_bases_format_cannot_hold_is_refused(base: Path, tmp_path: Path) -> None:
    from styledag.training.decoder.file import write_tuned_vae

    shutil.copytree(base / "vae", tmp_path / "vae")
    tensors = load_file(base / "vae" / WEIGHTS_FILE)
    save_file(
        {name: each.half() for name, each in tensors.items()}, tmp_path / "vae" / WEIGHTS_FILE
    )
    name = "decoder.conv_out.bias"
    with pytest.raises(TrainingError, match=rf"weight {name} .* too large for the base's"):
        write_tuned_vae(tmp_path / "vae", {name: tensors[name] + 1e6}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ModelError, match=r"has no tensor 'decoder\.nothing'"):
        write_tuned_vae(tmp_path / "vae", {"decoder.nothing": tensors[name]}, tmp_path / "out")


def test_a_image_of_another_size_is_named(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"is \[3, 8, 16\], but its latents \[4, 8, 8\]"):
        tune(encoded, base, tmp_path, images_of=lambda sample: images(sample)[:, :8])


def test_nothing_to_train_on_is_refused(base: Path, encode: Encode, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the training split is empty"):
        tune(encode(2, validation=2), base, tmp_path)
    with pytest.raises(DataError, match="encoded without their mirror images"):
        tune(encode(2, flip=False), base, tmp_path)


def test_a_disk_that_fills_up_is_named(base: Path, encoded: EncodedDataset, tmp_path: Path) -> None:
    import resource

    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, unlimited[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot use .*step-00000002"):
            tune(encoded, base, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


def test_an_interrupted_run_goes_on(base: Path, encoded: EncodedDataset, tmp_path: Path) -> None:
    class Interrupting:
        def task(self, description: str, total: int | None, *, done: int = 0) -> Any:
            del description, total, done

            def advance(count: int = 1, /, **figures: float) -> None:
                del count, figures
                raise KeyboardInterrupt

            return nullcontext(advance)

    undisturbed = tune(encoded, base, tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        tune(encoded, base, tmp_path / "cut", progress=Interrupting())
    assert weights(tune(encoded, base, tmp_path / "cut").folder) == weights(undisturbed.folder)
