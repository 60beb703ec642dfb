"""Read as ``config/examples/*.yaml`` and ``toolkit/config_modules.py`` of ostris/ai-toolkit."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from styledag.errors import DataError
from styledag.publishing.datasets.export import export_dataset
from styledag.publishing.datasets.settings import TrainerSettings
from styledag_tests.publishing.datasets.conftest import Example, of

ARCHITECTURES = {"sd1", "sd2", "sd3", "sdxl", "flux2_klein_4b", "zimage"}


def parse(path: Path) -> tuple[dict, dict]:
    """The one process of a job and its one dataset, with the reader's defaults."""
    job = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert job["job"] == "extension"
    (process,) = job["config"]["process"]
    assert process["type"] == "sd_trainer"
    assert process["model"]["arch"] in ARCHITECTURES
    (dataset,) = process["datasets"]
    extension = dataset["caption_ext"]
    return process, dataset | {
        "caption_ext": extension if extension.startswith(".") else f".{extension}"
    }


def test_the_folder_is_what_ai_toolkit_reads(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"

    facts = export_dataset(example.folder, target, "ai-toolkit", settings)

    process, dataset = parse(target / "config.yaml")
    assert process["model"]["name_or_path"] == settings.base
    assert dataset["resolution"] == [768]
    assert (dataset["num_repeats"], dataset["flip_x"]) == (3, True)
    assert dataset["caption_dropout_rate"] == 0.25
    folder = Path(dataset["folder_path"])
    read = {
        path.stem: path.with_suffix(dataset["caption_ext"]).read_text(encoding="utf-8")
        for path in folder.glob("*.jpg")
    }
    images = example.splits["train"]
    assert read == {id_: image.caption for id_, image in images.items()}
    assert all((folder / f"{id_}.jpg").read_bytes() == example.jpeg(id_) for id_ in images)
    # Five epochs of three passes over the images, four images a step.
    assert process["train"]["steps"] == 5 * -(-3 * len(images) // 4)
    variants = sum(len(i.variants) for split in example.splits.values() for i in split.values())
    assert facts["variants_left_out"] == variants > 0


@pytest.mark.parametrize(
    ("family", "arch", "scheduler"),
    [("sd2-v", "sd2", "ddpm"), ("sdxl", "sdxl", "ddpm"), ("z-image", "zimage", "flowmatch")],
)
def test_families_are_named(
    family, arch, scheduler, example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"

    export_dataset(
        example.folder,
        target,
        "ai-toolkit",
        of(family, settings, lora_rank=16, lora_alpha=8.0, gradient_accumulation=2),
    )

    process, _ = parse(target / "config.yaml")
    assert process["model"]["arch"] == arch
    assert process["model"]["is_v_pred"] is (family == "sd2-v")
    assert process["train"]["noise_scheduler"] == scheduler
    assert process["network"] == {"type": "lora", "linear": 16, "linear_alpha": 8.0}
    assert process["train"]["gradient_accumulation"] == 2
    assert process["train"]["steps"] == 5 * -(-3 * len(example.splits["train"]) // 8)


def test_what_the_base_predicts_is_stated(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    xl = of("sdxl", settings, predicts="v")
    export_dataset(example.folder, tmp_path / "v", "ai-toolkit", xl)
    process, _ = parse(tmp_path / "v" / "config.yaml")
    assert process["model"]["is_v_pred"] is True

    with pytest.raises(DataError, match="zero terminal SNR, which ai-toolkit neither"):
        export_dataset(example.folder, tmp_path / "z", "ai-toolkit", replace(xl, zero_snr=True))


def test_a_family_that_is_not_trained_is_refused(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="does not train a base of sana"):
        export_dataset(example.folder, tmp_path / "to", "ai-toolkit", of("sana", settings))
