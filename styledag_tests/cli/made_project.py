"""A project whose store contains a dataset, a model, a checkpoint and a blend, without training."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from styledag.bases.find import find_base
from styledag.captions.records import CaptionedImage
from styledag.dataset.build import build_image_dataset
from styledag.dataset.settings import DatasetSettings
from styledag.graph.catalogue import Catalogue
from styledag.graph.checkpoint_unets import store_unet
from styledag.graph.snapshots import SNAPSHOTS_FILE, write_json
from styledag.manifest import Manifest, write_rows
from styledag.sampling.grid import GRID
from styledag.sampling.marking import marked_png
from styledag.scoring.records import Estimate, ScoreRow
from styledag.scoring.score import SCORES, SUMMARY
from styledag.store.artifact import Artifact, Facts, Input
from styledag.store.store import Target
from styledag.store.workspace import Workspace
from styledag.tensors.layout import WEIGHTS_FILE
from styledag_tests.dataset.captioned import captioned_image
from styledag_tests.whole.small_project import MODEL, STYLE, make_project

UNET = "unet"


@dataclass(frozen=True)
class MadeProject:
    """The project, and what its store contains."""

    root: Path
    base: Path
    catalogue: Catalogue
    dataset: Artifact
    model: Artifact

    def add_dataset(self, numbers: range) -> Artifact:
        """Make a dataset of these images the current one."""
        return make_dataset(self.catalogue, numbers)


def made_project(root: Path, starter: Path) -> MadeProject:
    """A project in an empty folder; its UNets are the base's, times 1.001, 1.002 and 1.003."""
    own_starter = root / "starter"
    shutil.copytree(starter, own_starter, copy_function=os.link)
    base = own_starter / "stable-diffusion"
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A base\n")
    catalogue = Catalogue(make_project(root, own_starter, "http://127.0.0.1:1"))
    dataset = make_dataset(catalogue, range(6))
    parts = find_base(base).parts

    def base_as(role: str, parts: tuple[str, ...]) -> Input:
        return catalogue.model(catalogue.style(STYLE).base, parts).as_input(role)

    def tune(workspace: Workspace) -> Facts:
        _write_scaled(base / UNET, workspace.folder / UNET, 1.001)
        write_json(workspace.folder / SNAPSHOTS_FILE, [])
        return {}

    def blend(workspace: Workspace) -> Facts:
        _write_scaled(base / UNET, workspace.folder, 1.002)
        return {}

    def keep(workspace: Workspace) -> Facts:
        _write_scaled(base / UNET, workspace.scratch / UNET, 1.003)
        target = workspace.folder / UNET
        store_unet(workspace.scratch / UNET, target, base=base / UNET, form="delta")
        return {}

    def draw(workspace: Workspace) -> Facts:
        (workspace.folder / GRID).write_bytes(marked_png(Image.new("RGB", (4, 4), "red")))
        return {}

    def judge(workspace: Workspace) -> Facts:
        known, unknown = Estimate(0.25, 0.125, 0.5), Estimate()
        row = ScoreRow(
            place=0, name="weight 0.50", kind="blend", weight=0.5, epoch=None, length=None,
            amount=0.5, samples=4, style_learned=known, base_remembered=unknown,
            cmmd=unknown, kid=unknown, style=known, retention=unknown,
            text_similarity=unknown, text_retention=None, copying=unknown, diversity=None,
            taken_for_style=unknown,
        )  # fmt: skip
        write_rows(workspace.folder / SCORES, [row], ScoreRow)
        gaps = {"scorer": {"value": 0.25, "low": 0.125, "high": 0.5}}
        (workspace.folder / SUMMARY).write_text(json.dumps({"gaps": gaps}), encoding="utf-8")
        return {}

    def build(asset: str, partition: str, body, *inputs: Input) -> Artifact:
        target = Target(
            asset=asset,
            partition=partition,
            code_version="1",
            settings={"Recipe": {"epochs": 2, "ema": {"mode": "base"}}},
            inputs=inputs,
        )
        return catalogue.store.build(target, body).artifact

    model = build("ema_unet", MODEL, tune, dataset.as_input(), base_as("base_unet", parts.training))
    build("checkpoint", f"{MODEL}/e001", keep, dataset.as_input(), base_as("base", parts.sampling))
    blended = build(
        "merged_unet", f"{MODEL}/0.50", blend, model.as_input(), base_as("base_unet", (UNET,))
    )
    build("scores", MODEL, judge, model.as_input())
    build("sample_grid", f"{MODEL}/0.50", draw, blended.as_input())
    return MadeProject(root, base, catalogue, dataset, model)


def make_dataset(catalogue: Catalogue, numbers: range) -> Artifact:
    def body(workspace: Workspace) -> Facts:
        images: tuple[CaptionedImage, ...] = tuple(
            captioned_image(workspace, number) for number in numbers
        )
        return build_image_dataset(
            Manifest(images, ()),
            DatasetSettings(validation_share=0.0),
            workspace,
            style=STYLE,
            description="Numbers in colour.",
        )

    target = Target(asset="image_dataset", partition=STYLE, code_version=str(numbers))
    return catalogue.store.build(target, body).artifact


def scaled(base: Path, factor: float) -> dict[str, torch.Tensor]:
    """The base's UNet, times a factor, in float16 as training writes it."""
    weights = load_file(base / UNET / WEIGHTS_FILE)
    return {name: (tensor.float() * factor).half() for name, tensor in weights.items()}


def _write_scaled(unet: Path, to: Path, factor: float) -> None:
    to.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(unet / "config.json", to / "config.json")
    save_file(scaled(unet.parent, factor), to / WEIGHTS_FILE, metadata={"format": "pt"})
