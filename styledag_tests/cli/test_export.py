"""What the command line exports is what the store contains, as other programs read it."""

import json
import tomllib
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

from styledag.dataset.read import read_dataset
from styledag.errors import ArtifactMissingError, LineageError, ModelError, StorageError
from styledag.publishing.datasets.export import WRITERS
from styledag.sampling.marking import TRAINED_ALGORITHMIC_MEDIA
from styledag.scoring.score import SUMMARY
from styledag.store.artifact import Facts
from styledag.store.store import Target
from styledag.store.workspace import Workspace
from styledag.tensors.layout import KOHYA_LORA_FILE, WEIGHTS_FILE
from styledag_tests.cli.conftest import Call
from styledag_tests.cli.made_project import MadeProject, scaled
from styledag_tests.whole.small_project import MODEL, STYLE


def assert_unet(pipeline: StableDiffusionPipeline, expected: dict[str, torch.Tensor]) -> None:
    read = pipeline.unet.state_dict()
    assert read.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(read[name], tensor), name


def test_a_dataset_for_another_trainer(call: Call, made: MadeProject, tmp_path: Path) -> None:
    to = tmp_path / "kohya"

    output = call("export", "dataset", STYLE, "--for", "kohya", "--to", to)

    rows = {f"{row.id}.jpg": row.jpeg for row in read_dataset(made.dataset.folder)}
    assert {path.name: path.read_bytes() for path in to.rglob("*.jpg")} == rows
    assert "wrote 6 images" in output
    assert "train with: accelerate launch train_db.py" in output
    training = tomllib.loads((to / "training.toml").read_text())
    assert training["pretrained_model_name_or_path"] == str(made.base)
    assert training["max_train_epochs"] == 2
    dataset = tomllib.loads((to / "dataset.toml").read_text())
    assert dataset["datasets"][0]["resolution"] == 64


@pytest.mark.parametrize("trainer", WRITERS)
def test_every_trainer_can_be_named(trainer: str, call: Call, tmp_path: Path) -> None:
    assert "wrote 6 images" in call(
        "export", "dataset", STYLE, "--for", trainer, "--to", tmp_path / "to"
    )


def test_an_earlier_version_of_a_dataset(call: Call, made: MadeProject, tmp_path: Path) -> None:
    made.add_dataset(range(2))
    arguments = ("export", "dataset", STYLE, "--for", "webdataset", "--to", tmp_path / "to")

    assert "wrote 2 images" in call(*arguments)
    assert "wrote 6 images" in call(*arguments, "--version", made.dataset.version[:8])
    with pytest.raises(ArtifactMissingError, match="no version ffffff"):
        call(*arguments, "--version", "ffffff")


def test_a_model_as_one_file(call: Call, made: MadeProject, tmp_path: Path) -> None:
    to = tmp_path / "out" / "small.safetensors"

    output = call("export", "model", MODEL, "--format", "single-file", "--to", to)

    assert str(to) in output
    loaded = StableDiffusionPipeline.from_single_file(
        str(to), config=str(made.base), local_files_only=True, dtype=torch.float16
    )
    assert_unet(loaded, scaled(made.base, 1.001))
    assert f"# {MODEL}" in to.with_suffix(".md").read_text().replace("\\", "")
    assert "## Scores" not in to.with_suffix(".md").read_text()
    assert not to.with_suffix(".png").exists()


def test_a_blend_as_one_file_with_its_grid(call: Call, tmp_path: Path) -> None:
    to = tmp_path / "blend.safetensors"

    call("export", "model", f"{MODEL}:0.5", "--format", "single-file", "--to", to)

    card = to.with_suffix(".md").read_text()
    assert "![Samples](blend.png)" in card
    assert "| style | 0\\.25 | 0\\.125 to 0\\.5 |" in card
    assert "| style learned | 0\\.25 | 0\\.125 to 0\\.5 |" in card
    assert "retention" not in card, "it could not be measured"
    assert "from_single_file('blend.safetensors')" in card
    assert str(tmp_path) not in card.replace("\\", ""), "no path of this machine"
    assert TRAINED_ALGORITHMIC_MEDIA.encode() in to.with_suffix(".png").read_bytes()
    with Image.open(to.with_suffix(".png")) as image:
        assert image.getpixel((0, 0)) == (255, 0, 0)
    assert f"merged_unet {MODEL}@0.50" in call("lineage", to.with_suffix(".png"))


def test_a_style_score_of_a_scorer_that_cannot_tell_is_not_on_the_card(
    call: Call, made: MadeProject, tmp_path: Path
) -> None:
    summary = made.catalogue.store.require("scores", MODEL).folder / SUMMARY
    summary.write_text(json.dumps({"gaps": {"scorer": {"value": 0.1, "low": -0.1, "high": 0.3}}}))
    to = tmp_path / "blend.safetensors"

    call("export", "model", f"{MODEL}:0.5", "--format", "single-file", "--to", to)

    card = to.with_suffix(".md").read_text()
    assert "| style learned |" in card
    assert "| style |" not in card


def test_a_checkpoint_as_a_folder(call: Call, made: MadeProject, tmp_path: Path) -> None:
    to = tmp_path / "checkpoint"

    call("export", "model", f"{MODEL}@1", "--to", to, "--licence", "mit")

    loaded = StableDiffusionPipeline.from_pretrained(to, dtype=torch.float16)
    assert_unet(loaded, scaled(made.base, 1.003))
    assert f"checkpoint {MODEL}@e001" in call("lineage", to / "unet" / WEIGHTS_FILE)
    card = (to / "README.md").read_text()
    assert "license: mit" in card
    assert "| apache-2.0 |" in card.replace("\\", ""), "the base's licence"
    assert made.dataset.version in card
    assert not list(tmp_path.glob(".styledag-*")), "the restored checkpoint is removed"


def test_a_model_without_adapters_has_no_lora(call: Call, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="only a recipe with 'lora'"):
        call("export", "model", MODEL, "--format", "lora", "--to", tmp_path / "a.safetensors")


def test_adapters_as_a_file(call: Call, made: MadeProject, tmp_path: Path) -> None:
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    tensors = {
        f"{layer}.lora_down.weight": torch.ones(2, 8),
        f"{layer}.lora_up.weight": torch.ones(8, 2),
        f"{layer}.alpha": torch.tensor(1.0),
    }

    def adapt(workspace: Workspace) -> Facts:
        (workspace.folder / "lora").mkdir()
        save_file(tensors, workspace.folder / "lora" / KOHYA_LORA_FILE)
        return {}

    target = Target(
        asset="ema_unet",
        partition=f"{STYLE}.adapters",
        code_version="1",
        settings=made.model.build.settings,
        inputs=made.model.build.inputs,
    )
    made.catalogue.store.build(target, adapt)
    to = tmp_path / "adapters.safetensors"

    call("export", "model", f"{STYLE}.adapters", "--format", "lora", "--to", to)

    read = load_file(to)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor.half()) for name, tensor in tensors.items())
    assert f"ema_unet {STYLE}.adapters" in call("lineage", to)
    card = to.with_suffix(".md").read_text()
    assert "A LoRA for" in card
    assert "weight_name='adapters.safetensors'" in card


def test_another_folder_is_left_alone(call: Call, made: MadeProject) -> None:
    with pytest.raises(StorageError, match="no earlier export"):
        call("export", "model", MODEL, "--to", made.base)
    assert (made.base / "unet").is_dir()


def test_a_model_of_a_former_base_is_refused(
    call: Call, made: MadeProject, base: Path, tmp_path: Path
) -> None:
    path = made.root / "data" / "styles" / f"{STYLE}.yaml"
    text = path.read_text("utf-8").replace(str(made.base), str(base))
    path.write_text(text, "utf-8")

    with pytest.raises(LineageError, match="but the style file now names"):
        call("export", "model", MODEL, "--to", tmp_path / "to")
