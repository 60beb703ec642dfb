"""Read by ``datasets`` as ``train_text_to_image.py`` does, whose arguments are parsed."""

import argparse
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import load_dataset

from styledag.errors import DataError
from styledag.publishing.datasets.export import export_dataset
from styledag.publishing.datasets.settings import TrainerSettings
from styledag_tests.publishing.datasets.conftest import Example, of


def parse(command: str) -> argparse.Namespace:
    """The arguments of the example scripts; an unknown one ends the program."""
    parser = argparse.ArgumentParser()
    for name in (
        "--pretrained_model_name_or_path",
        "--train_data_dir",
        "--image_column",
        "--caption_column",
        "--lr_scheduler",
        "--output_dir",
        "--dataset_name",
        "--instance_prompt",
        "--mixed_precision",
    ):
        parser.add_argument(name, type=str)
    for name in (
        "--resolution",
        "--train_batch_size",
        "--num_train_epochs",
        "--seed",
        "--rank",
        "--lora_alpha",
        "--gradient_accumulation_steps",
        "--repeats",
        "--lr_warmup_steps",
    ):
        parser.add_argument(name, type=int)
    for name in (
        "--learning_rate",
        "--proportion_empty_prompts",
        "--adam_beta1",
        "--adam_beta2",
        "--adam_epsilon",
        "--adam_weight_decay",
        "--max_grad_norm",
    ):
        parser.add_argument(name, type=float)
    parser.add_argument("--random_flip", action="store_true")
    accelerate, launch, script, *arguments = shlex.split(command)
    assert (accelerate, launch) == ("accelerate", "launch")
    parser.add_argument("--script", default=script)
    return parser.parse_args(arguments)


def test_the_script_reads_the_folder(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "it's an export"

    facts = export_dataset(example.folder, target, "diffusers", settings)

    arguments = parse(facts["command"])
    assert arguments.script == "train_text_to_image.py"
    assert arguments.pretrained_model_name_or_path == settings.base
    assert (arguments.resolution, arguments.random_flip) == (768, True)
    assert arguments.num_train_epochs == 15
    assert arguments.gradient_accumulation_steps == 1
    assert arguments.learning_rate == 2e-5
    # As the script loads it.
    files = {"train": f"{arguments.train_data_dir}/**"}
    read = load_dataset("imagefolder", data_files=files, cache_dir=str(tmp_path / "cache"))["train"]
    assert read.column_names == ["image", "text"]
    images = example.splits["train"]
    captions = [tuple(row) for row in read[arguments.caption_column]]
    assert sorted(captions) == sorted((i.caption, *i.variants) for i in images.values())
    assert read[0][arguments.image_column].size == (64, 64)


def test_the_command_is_a_shell_script(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"
    facts = export_dataset(example.folder, target, "diffusers", replace(settings, lora_rank=4))

    subprocess.run(["sh", "-n", target / "train.sh"], check=True)
    assert facts["command"] in (target / "train.sh").read_text()
    assert parse(facts["command"]).rank == 4
    assert parse(facts["command"]).script == "train_text_to_image_lora.py"


@pytest.mark.parametrize(
    ("family", "rank", "dropout"),
    [("sdxl", None, 0.25), ("sdxl", 4, None), ("sd1", None, None), ("sd3", None, None)],
)
def test_captions_are_dropped_where_a_script_can(
    family, rank, dropout, example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    chosen = of(family, settings, lora_rank=rank)
    facts = export_dataset(example.folder, tmp_path / "export", "diffusers", chosen)
    assert parse(facts["command"]).proportion_empty_prompts == dropout


@pytest.mark.parametrize(
    ("family", "rank", "script"),
    [
        ("sd3", None, "train_dreambooth_sd3.py"),
        ("sd3", 8, "train_dreambooth_lora_sd3.py"),
        ("flux2-klein", 8, "train_dreambooth_lora_flux2_klein.py"),
        ("z-image", 8, "train_dreambooth_lora_z_image.py"),
        ("sana", 8, "train_dreambooth_lora_sana.py"),
    ],
)
def test_the_scripts_of_flow_matching_read_one_caption_an_image(
    family, rank, script, example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"
    facts = export_dataset(
        example.folder, target, "diffusers", of(family, settings, lora_rank=rank)
    )

    arguments = parse(facts["command"])
    assert arguments.script == script
    assert (arguments.rank, arguments.repeats, arguments.num_train_epochs) == (rank, 3, 5)
    # 4 when left out, in the scripts that have it.
    assert arguments.lora_alpha == (None if family == "sd3" else rank)
    # As the scripts load it: by the folder's name alone.
    read = load_dataset(arguments.dataset_name, cache_dir=str(tmp_path / "cache"))
    assert set(read) == {"train", "validation"}
    images = example.splits["train"]
    assert sorted(read["train"][arguments.caption_column]) == sorted(
        image.caption for image in images.values()
    )
    variants = sum(len(i.variants) for split in example.splits.values() for i in split.values())
    assert facts["variants_left_out"] == variants > 0
    assert facts["variants"] == 0


def test_a_whole_denoiser_without_a_script_is_refused(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no script for the whole denoiser of a base of z-image"):
        export_dataset(example.folder, tmp_path / "to", "diffusers", of("z-image", settings))


@pytest.mark.parametrize(
    ("family", "alpha", "known"),
    [("sd1", 4.0, "the rank alone"), ("z-image", 4.5, "whole numbers alone")],
)
def test_an_alpha_that_the_script_has_no_argument_for_is_refused(
    example: Example, settings: TrainerSettings, tmp_path: Path, family, alpha, known
) -> None:
    lora = of(family, settings, lora_rank=8, lora_alpha=alpha)
    with pytest.raises(
        DataError, match=f"{known} as a LoRA's alpha, but the recipe's is {alpha:g}"
    ):
        export_dataset(example.folder, tmp_path / "to", "diffusers", lora)
