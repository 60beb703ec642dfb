"""Read as docs/config_README-en.md and docs/train_network.md of kohya-ss/sd-scripts state."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from styledag.errors import DataError
from styledag.publishing.datasets.export import export_dataset
from styledag.publishing.datasets.settings import TrainerSettings
from styledag_tests.publishing.datasets.conftest import Example, of

DATASET_OPTIONS = {
    "batch_size": int,
    "bucket_no_upscale": bool,
    "bucket_reso_steps": int,
    "enable_bucket": bool,
    "max_bucket_reso": int,
    "min_bucket_reso": int,
    "resolution": int,
}
SUBSET_OPTIONS = {
    "image_dir": str,
    "caption_extension": str,
    "num_repeats": int,
    "flip_aug": bool,
    "shuffle_caption": bool,
    "enable_wildcard": bool,
    "caption_dropout_rate": float,
}


def parse(path: Path) -> list[dict]:
    """The subsets of a dataset configuration; an unknown or wrongly typed option is refused."""
    config = tomllib.loads(path.read_text(encoding="utf-8"))
    assert config.keys() == {"datasets"}
    (dataset,) = config["datasets"]
    subsets = dataset.pop("subsets")
    for options, known in ((dataset, DATASET_OPTIONS), *((s, SUBSET_OPTIONS) for s in subsets)):
        for name, value in options.items():
            assert type(value) is known[name], name
    return [dataset | subset for subset in subsets]


def possible_captions(text: str) -> set[str]:
    """What ``enable_wildcard`` makes of a caption file: one line, and one of ``{a|b}``."""
    captions = set()
    for line in text.split("\n"):
        hidden = line.replace("{{", "\0").replace("}}", "\1")
        choices = re.search(r"\{([^}]+)\}", hidden)
        words = choices[1].split("|") if choices else [""]
        for word in words:
            caption = re.sub(r"\{[^}]+\}", word, hidden)
            captions.add(caption.replace("\0", "{").replace("\1", "}").strip())
    return captions


def test_the_folder_is_what_sd_scripts_read(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "a folder's" / "export"

    facts = export_dataset(example.folder, target, "kohya", settings)

    (subset,) = parse(target / "dataset.toml")
    assert subset["resolution"] == 768
    assert subset["num_repeats"] == 3
    assert subset["flip_aug"] is True
    assert subset["caption_dropout_rate"] == 0.25
    images = sorted(Path(subset["image_dir"]).glob("*.jpg"))
    assert {path.stem for path in images} == example.splits["train"].keys()
    for path in images:
        image = example.splits["train"][path.stem]
        assert path.read_bytes() == example.jpeg(path.stem)
        text = path.with_suffix(subset["caption_extension"]).read_text(encoding="utf-8")
        assert possible_captions(text) == {image.caption, *image.variants}
    assert facts["train"] == len(images)
    assert facts["variants_left_out"] == 0


def test_the_training_configuration_names_base_and_dataset(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"
    lora = of("sd2-v", settings, lora_rank=8, lora_alpha=4.0, gradient_accumulation=2)

    facts = export_dataset(example.folder, target, "kohya", lora)

    config = tomllib.loads((target / "training.toml").read_text(encoding="utf-8"))
    assert Path(config["dataset_config"]) == target / "dataset.toml"
    assert config["pretrained_model_name_or_path"] == settings.base
    assert config["v2"] is config["v_parameterization"] is True
    assert (config["network_module"], config["network_dim"]) == ("networks.lora", 8)
    assert (config["network_alpha"], config["gradient_accumulation_steps"]) == (4.0, 2)
    assert (config["learning_rate"], config["max_train_epochs"]) == (2e-5, 5)
    assert config["network_train_unet_only"] is True
    assert facts["command"].startswith("accelerate launch train_network.py --config_file ")


def test_what_the_base_predicts_is_stated(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    """sd-scripts suppose noise and a schedule that keeps something of the image."""
    for at, (stated, keys) in enumerate(
        [
            ({}, set()),
            ({"predicts": "v"}, {"v_parameterization"}),
            ({"predicts": "v", "zero_snr": True}, {"v_parameterization", "zero_terminal_snr"}),
        ]
    ):
        target = tmp_path / str(at)
        xl = of("sdxl", settings, **stated)
        export_dataset(example.folder, target, "kohya", xl)
        config = tomllib.loads((target / "training.toml").read_text(encoding="utf-8"))
        assert {"v_parameterization", "zero_terminal_snr"} & config.keys() == keys
        assert all(config[key] is True for key in keys)


@pytest.mark.parametrize("resolution_px", [64, 512, 1536])
def test_the_resolution_is_within_the_limits_of_the_buckets(
    example: Example, settings: TrainerSettings, tmp_path: Path, resolution_px: int
) -> None:
    """sd-scripts assert it, and the limits are 256 and 1024 if they are left out."""
    sized = replace(settings, resolution_px=resolution_px)
    export_dataset(example.folder, tmp_path / "export", "kohya", sized)
    (subset,) = parse(tmp_path / "export" / "dataset.toml")
    assert subset["min_bucket_reso"] <= resolution_px <= subset["max_bucket_reso"]


def test_a_whole_denoiser_is_trained_without_the_text_encoder(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    export_dataset(example.folder, tmp_path / "export", "kohya", settings)

    config = tomllib.loads((tmp_path / "export" / "training.toml").read_text(encoding="utf-8"))
    assert config["stop_text_encoder_training"] == -1


@pytest.mark.parametrize("family", ["sd3", "z-image"])
def test_a_family_that_is_not_trained_is_refused(
    example: Example, settings: TrainerSettings, tmp_path: Path, family: str
) -> None:
    with pytest.raises(DataError, match=f"do not train a base of {family}"):
        export_dataset(example.folder, tmp_path / "to", "kohya", of(family, settings))
