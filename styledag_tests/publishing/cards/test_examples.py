"""What a card shows as Python is run, beside the files that it describes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    Flux2KleinPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from markdown_it import MarkdownIt
from PIL import Image
from safetensors.torch import save_file

from styledag.publishing.cards.model_card import model_card
from styledag.publishing.cards.records import CardBase, ModelCard
from styledag.publishing.lora import export_lora
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.pipeline_folder import export_pipeline
from styledag.publishing.single_file.export import export_single_file
from styledag.tensors import layout
from styledag_tests.bases.families import tiny_families
from styledag_tests.publishing.cards.test_model_card import CARD

DESCRIPTION = ModelDescription(title="A style")
CARD_OF_FILE = replace(CARD, repo="", bases=(CardBase(name="base"),))
FOLDER = "path/to/this/folder"
LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
Run = Callable[[ModelCard], object]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a card's example with two steps of sampling, and returns its pipeline."""
    monkeypatch.chdir(tmp_path)
    set_timesteps = DDIMScheduler.set_timesteps
    monkeypatch.setattr(
        DDIMScheduler,
        "set_timesteps",
        lambda self, _, *more, **named: set_timesteps(self, 2, *more, **named),
    )

    def run(card: ModelCard) -> object:
        page = model_card(card).split("\n---\n", 1)[1]
        (code,) = (
            each.content for each in MarkdownIt("commonmark").parse(page) if each.tag == "code"
        )
        names: dict[str, object] = {}
        exec(compile(code, "card", "exec"), names)
        with Image.open("image.png") as image:
            image.load()
        return names["pipeline"]

    return run


@pytest.fixture
def lora(first_pipeline: Path, tmp_path: Path) -> str:
    """The file of a LoRA beside another that a card's reader could have; its name."""
    adapters = tmp_path / "adapters"
    adapters.mkdir()
    tensors = {
        f"{LAYER}.lora_down.weight": torch.ones(2, 8),
        f"{LAYER}.lora_up.weight": torch.ones(8, 2),
        f"{LAYER}.alpha": torch.tensor(1.0),
    }
    save_file(tensors, adapters / layout.KOHYA_LORA_FILE)
    name = "checkpoint.full.safetensors"
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    export_lora(adapters, folder / name, DESCRIPTION, base=first_pipeline)
    save_file({"x": torch.ones(1)}, folder / "another.safetensors")
    return name


def test_a_folder(first_pipeline: Path, tmp_path: Path, run: Run) -> None:
    export_pipeline(first_pipeline, tmp_path / FOLDER, replaced={}, dtype="float16")
    assert isinstance(run(CARD_OF_FILE), StableDiffusionPipeline)


def adapted(pipeline: object) -> int:
    (config,) = pipeline.unet.peft_config.values()  # type: ignore[attr-defined]
    return int(config.r)


def test_a_lora(first_pipeline: Path, tmp_path: Path, run: Run, lora: str) -> None:
    pytest.importorskip("peft")
    (tmp_path / "base").symlink_to(first_pipeline)
    assert adapted(run(replace(CARD_OF_FILE, relation="adapter", file=lora))) == 2


def from_single_file(kind: type, base: Path) -> Callable[..., object]:
    """As diffusers does it, without the configuration that it fetches from the Hub by size."""
    return partial(kind.from_single_file, config=str(base), local_files_only=True)


def test_a_lora_for_a_base_in_one_file(
    first_pipeline: Path, tmp_path: Path, run: Run, lora: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    export_single_file(first_pipeline, tmp_path / "community.safetensors", DESCRIPTION)
    monkeypatch.setattr(
        StableDiffusionPipeline,
        "from_single_file",
        from_single_file(StableDiffusionPipeline, first_pipeline),
    )
    base = CardBase(name="community.safetensors")
    card = replace(CARD_OF_FILE, relation="adapter", file=lora, bases=(base,))
    assert adapted(run(card)) == 2


def test_a_lora_for_a_base_with_another_denoiser(
    first_pipeline: Path, tmp_path: Path, run: Run, lora: str
) -> None:
    pytest.importorskip("peft")
    (tmp_path / "base").symlink_to(first_pipeline)
    export_single_file(first_pipeline, tmp_path / "other.safetensors", DESCRIPTION)
    base = CardBase(name="base", denoiser="other.safetensors")
    card = replace(CARD_OF_FILE, relation="adapter", file=lora, bases=(base,))
    assert adapted(run(card)) == 2
    assert "with the denoiser of other" in model_card(card).replace("\\", "")


def test_a_single_file(
    first_pipeline: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_single_file(first_pipeline, tmp_path / "a.style.safetensors", DESCRIPTION)
    monkeypatch.setattr(
        StableDiffusionPipeline,
        "from_single_file",
        from_single_file(StableDiffusionPipeline, first_pipeline),
    )
    pipeline = run(replace(CARD_OF_FILE, file="a.style.safetensors"))
    assert isinstance(pipeline, StableDiffusionPipeline)
    assert isinstance(pipeline.unet, UNet2DConditionModel)


def drawn(_: Flux2KleinPipeline, image: object = None, prompt: str | None = None) -> object:
    assert image is None
    assert prompt is not None
    return SimpleNamespace(images=[Image.new("RGB", (8, 8))])


def test_a_transformer_in_one_file(
    starter: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = starter / "stable-diffusion" / "tokenizer"
    base = tiny_families()["flux2_klein"].write(tmp_path / "base", tokenizer)
    export_single_file(base, tmp_path / "a.style.safetensors", DESCRIPTION)
    card = replace(CARD_OF_FILE, file="a.style.safetensors", is_denoiser=True)
    card = replace(card, pipeline="Flux2KleinPipeline", denoiser="Flux2Transformer2DModel")
    # Its default size takes minutes; the first argument of its call is an image.
    monkeypatch.setattr(Flux2KleinPipeline, "__call__", drawn)
    run(card)
