"""Read as ``TrainConfig`` and ``ConceptConfig`` of Nerogar/OneTrainer are read from JSON."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from styledag.publishing.datasets.export import export_dataset
from styledag.publishing.datasets.settings import TrainerSettings
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import captioned_image
from styledag_tests.publishing.datasets.built import build_dataset
from styledag_tests.publishing.datasets.conftest import Example, of

TRAIN_CONFIG = {
    "training_method": {"FINE_TUNE", "LORA"},
    "model_type": {"STABLE_DIFFUSION_15", "STABLE_DIFFUSION_XL_10_BASE", "Z_IMAGE"},
    "workspace_dir": str,
    "rescale_noise_scheduler_to_zero_terminal_snr": bool,
    "cache_dir": str,
    "validation": bool,
    "base_model_name": str,
    "output_model_destination": str,
    "concepts": list,
    "aspect_ratio_bucketing": bool,
    "train_dtype": {"BFLOAT_16"},
    "learning_rate": float,
    "learning_rate_scheduler": {"CONSTANT", "LINEAR", "COSINE"},
    "learning_rate_warmup_steps": float,
    "optimizer": dict,
    "clip_grad_norm": float,
    "offset_noise_weight": float,
    "loss_weight_fn": {"CONSTANT", "MIN_SNR_GAMMA"},
    "loss_weight_strength": float,
    "epochs": int,
    "batch_size": int,
    "gradient_accumulation_steps": int,
    "resolution": str,
    "text_encoder": dict,
    "text_encoder_2": dict,
    "lora_rank": int,
    "lora_alpha": float,
}
CONCEPT_CONFIG = {
    "name": str,
    "path": str,
    "seed": int,
    "enabled": bool,
    "type": {"STANDARD", "VALIDATION"},
    "include_subdirectories": bool,
    "image_variations": int,
    "text_variations": int,
    "balancing": float,
    "balancing_strategy": {"REPEATS"},
    "image": dict,
    "text": dict,
}


def checked(data: dict, known: dict, version: int) -> dict:
    """``BaseConfig.from_dict``, which drops what it does not know with a line on the screen."""
    assert data.pop("__version") == version
    for name, value in data.items():
        kind = known[name]
        assert value in kind if isinstance(kind, set) else type(value) is kind, name
    return data


def parse(path: Path) -> tuple[dict, dict[str, dict]]:
    config = checked(json.loads(path.read_text(encoding="utf-8")), TRAIN_CONFIG, 11)
    concepts = [checked(concept, CONCEPT_CONFIG, 2) for concept in config["concepts"]]
    return config, {concept["type"]: concept for concept in concepts}


def samples(concept: dict) -> dict[str, list[str]]:
    """Prompts of each image: the lines of its text file (``prompt_source`` is ``sample``)."""
    assert concept["text"]["prompt_source"] == "sample"
    return {
        path.stem: [
            line.strip()
            for line in path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
        for path in Path(concept["path"]).glob("*.jpg")
    }


def test_the_folder_is_what_onetrainer_reads(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"

    export_dataset(example.folder, target, "onetrainer", settings)

    config, concepts = parse(target / "config.json")
    assert config["resolution"] == "768"
    assert config["base_model_name"] == settings.base
    assert config["model_type"] == "STABLE_DIFFUSION_15"
    assert config["training_method"] == "FINE_TUNE"
    assert config["validation"] is True
    assert config["text_encoder"] == {"__version": 0, "train": False, "dropout_probability": 0.25}
    for kind, split in (("STANDARD", "train"), ("VALIDATION", "validation")):
        images = example.splits[split]
        assert samples(concepts[kind]) == {
            id_: [image.caption, *image.variants] for id_, image in images.items()
        }
    assert concepts["STANDARD"]["balancing"] == 3.0
    assert concepts["STANDARD"]["image"]["enable_random_flip"] is True
    assert concepts["VALIDATION"]["balancing"] == 1.0
    assert concepts["VALIDATION"]["image"]["enable_random_flip"] is False


def test_a_lora_is_stated(example: Example, settings: TrainerSettings, tmp_path: Path) -> None:
    target = tmp_path / "export"

    facts = export_dataset(
        example.folder,
        target,
        "onetrainer",
        of("z-image", settings, lora_rank=4, lora_alpha=2.0),
    )

    config, _ = parse(target / "config.json")
    assert (config["training_method"], config["lora_rank"]) == ("LORA", 4)
    assert config["lora_alpha"] == 2.0
    assert config["model_type"] == "Z_IMAGE"
    assert config["text_encoder"]["dropout_probability"] == 0.0  # OneTrainer stops at another
    path = shlex.quote(str(target / "config.json"))
    assert facts["command"] == f"python scripts/train.py --config-path {path}"


def test_zero_terminal_snr_is_stated(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    """OneTrainer takes betas and the kind of prediction from the base, and no rescaling."""
    xl = of("sdxl", settings, predicts="v", zero_snr=True)

    export_dataset(example.folder, tmp_path / "export", "onetrainer", xl)

    config, _ = parse(tmp_path / "export" / "config.json")
    assert config["rescale_noise_scheduler_to_zero_terminal_snr"] is True


def test_no_text_encoder_is_trained(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"

    export_dataset(example.folder, target, "onetrainer", of("sdxl", settings))

    config, _ = parse(target / "config.json")
    parts = [config[name] for name in ("text_encoder", "text_encoder_2")]
    assert [(each["train"], each["dropout_probability"]) for each in parts] == [(False, 0.25)] * 2


def cached(concept: dict, epochs: int) -> tuple[int, int]:
    """Flips and captions that an image is trained with, as mgds' ``DiskCache`` draws them.

    Each variation is drawn when it is cached; an epoch takes that of its number modulo their count.
    """
    variations = concept["image_variations"], concept["text_variations"]
    images, texts = (len({epoch % count for epoch in range(epochs)}) for count in variations)
    return images, texts


@pytest.mark.parametrize(("epochs", "drawn"), [(5, 5), (400, 10)])
def test_flips_and_variants_are_drawn_anew_and_not_cached_once(
    workspace: Workspace, settings: TrainerSettings, tmp_path: Path, epochs: int, drawn: int
) -> None:
    plain = replace(captioned_image(workspace, 1), variants=())
    said_twice = replace(captioned_image(workspace, 2), variants=("another way to say it",))
    for name, images, flip, expected in (
        ("both", [plain, said_twice], True, (drawn, drawn)),
        ("neither", [plain], False, (1, 1)),
    ):
        dataset = build_dataset(workspace, tmp_path / name, images)
        target = tmp_path / f"{name}-export"
        export_dataset(dataset, target, "onetrainer", replace(settings, flip=flip, epochs=epochs))
        _, concepts = parse(target / "config.json")
        assert cached(concepts["STANDARD"], epochs) == expected
