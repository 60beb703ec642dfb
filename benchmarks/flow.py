"""Show that flow matching keeps the base as epsilon does: ``python -m benchmarks.flow``.

A small transformer of Stable Diffusion 3's kind is trained on the starter's own drawings, with the
starter's CLIP and autoencoder (an hour on two cores). The demo's graph then fine-tunes it on
Twemoji by two recipes that differ in the average alone, and judges both by the base's own loss.
What is made is kept, so a killed run resumes where it stopped.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console

from styledag.cli.bars import shown_progress
from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.defs.runs import run_step, steps_of
from styledag.demo.wiki import shared_wiki
from styledag.graph.catalogue import Catalogue
from styledag.graph.checkpoint_unets import denoiser_of
from styledag.graph.drawing import sampler_of
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.graph.stages.scores import blend_candidates, judged_by
from styledag.images.encode import encode_jpeg
from styledag.manifest import read_rows
from styledag.models.compute import Compute, ComputeSettings, resolve_compute
from styledag.progress import Progress
from styledag.project import Project
from styledag.scoring.base_remembered import base_remembered
from styledag.scoring.bootstrap import Counts, bootstrap
from styledag.scoring.denoising_loss import NoisedImage
from styledag.scoring.records import Estimate, ScoreRow
from styledag.scoring.score import SCORES
from styledag.scoring.style import Float64
from styledag.scoring.style_learned import style_learned
from styledag.settings import settings_identity
from styledag.store.artifact import Facts
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace
from styledag.training.encoding import encode
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.encoding.encode import encode_dataset
from styledag.training.encoding.samples import EncodeSample
from styledag.training.identity import CODE_VERSION
from styledag.training.recipe import EmaSettings, Recipe
from styledag.training.train import train_unet
from tools.starter.drawings import PACKAGES, Artist, fetch_packages, read_artist, read_emoji
from tools.starter.subjects import choose_subjects, with_article

ROOT = Path(__file__).resolve().parent.parent
STARTER = ROOT / "data" / "starter"
ARTIST: Artist = "noto"
STYLE = "flow"
WIDTH, HEADS, LAYERS = 96, 3, 4
PRETRAINING = Recipe(
    epochs=24,
    batch_size=32,
    learning_rate=1.5e-3,
    lr_schedule="cosine",
    lr_warmup_steps=60,
    caption_dropout=0.1,
    horizontal_flip=False,
    ema=EmaSettings(mode="warmup"),
    snapshot_every_epochs=999,
    save_state_every_steps=100,
    keep_state=False,
)
FINE_TUNING: dict[str, Any] = {
    "epochs": 8,
    "batch_size": 16,
    "learning_rate": 2.0e-4,
    "lr_warmup_steps": 10,
    "horizontal_flip": False,
    "snapshot_every_epochs": 8,
}
AVERAGES: dict[str, dict[str, Any]] = {
    "base": {"mode": "base", "base_share": 0.2},
    "warmup": {"mode": "warmup"},
}


def write_untrained(folder: Path) -> None:
    """Write a base of Stable Diffusion 3's kind: the starter's CLIP twice, its autoencoder."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
    from transformers import CLIPTextModelWithProjection

    clip = CLIPTextModelWithProjection.from_pretrained(STARTER / "clip")
    width, projected = clip.config.hidden_size, clip.config.projection_dim
    for encoder, tokenizer in (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")):
        clip.save_pretrained(folder / encoder)
        shutil.copytree(STARTER / "stable-diffusion" / "tokenizer", folder / tokenizer)
    shutil.copytree(STARTER / "stable-diffusion" / "vae", folder / "vae")
    FlowMatchEulerDiscreteScheduler(shift=1.0).save_pretrained(folder / "scheduler")
    torch.manual_seed(0)
    SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=LAYERS,
        attention_head_dim=WIDTH // HEADS,
        num_attention_heads=HEADS,
        joint_attention_dim=2 * width,
        caption_projection_dim=WIDTH,
        pooled_projection_dim=2 * projected,
        pos_embed_max_size=16,
        qk_norm="rms_norm",
    ).save_pretrained(folder / "transformer")
    classes = {
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "text_encoder_3": [None, None],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "tokenizer_3": [None, None],
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    index = {"_class_name": "StableDiffusion3Pipeline", **classes}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")


def drawings(store: Store, packages: Path) -> list[EncodeSample]:
    """Return one artist's drawings as samples, every twentieth held out."""
    from PIL import Image

    fetch_packages(packages, [PACKAGES[ARTIST]])
    drawn = read_artist(packages, ARTIST)
    subjects = [each for each in choose_subjects(read_emoji(packages)) if each.code in drawn]
    samples = []
    for at, subject in enumerate(subjects):
        jpeg = encode_jpeg(Image.fromarray(drawn[subject.code]), quality=95)
        sha256 = store.blobs.put(jpeg)
        samples.append(
            EncodeSample(
                id=sha256,
                caption=f"a drawing of {with_article(subject.name)}",
                split="validation" if at % 20 == 0 else "train",
                name=subject.name,
                image_sha256=sha256,
            )
        )
    return list({each.id: each for each in samples}.values())


def make_base(work: Path, compute: Compute, progress: Progress) -> Path:
    """Return the trained base's folder, making what is not there."""
    untrained = work / "untrained"
    if not untrained.is_dir():
        partial = work / "untrained.partial"
        shutil.rmtree(partial, ignore_errors=True)
        write_untrained(partial)
        partial.rename(untrained)
    store = Store(str(work / "store"))
    samples = drawings(store, work / "packages")

    def encoded(workspace: Workspace) -> Facts:
        return encode_dataset(
            samples,
            untrained,
            base_version="untrained",
            compute=compute,
            workspace=workspace,
            batch_size=32,
            flip=False,
        )

    def trained(workspace: Workspace) -> Facts:
        result = train_unet(
            EncodedDataset.open(dataset.folder),
            untrained,
            PRETRAINING,
            inputs={"base": "untrained", "encoded_dataset": dataset.version},
            compute=compute,
            scratch=workspace.scratch,
            on_snapshot=lambda _: None,
            progress=workspace.progress,
            work=workspace.work,
        )
        base = workspace.folder / "base"
        shutil.copytree(untrained, base)
        shutil.rmtree(base / "transformer")
        shutil.copytree(result.final.folder, base / "transformer")
        return {"steps": result.final.step, "validation_loss": result.final.validation_loss}

    settings = {"samples": [each.id for each in samples], "width": WIDTH, "layers": LAYERS}
    target = Target(
        asset="encoded_dataset",
        partition="base",
        code_version=encode.CODE_VERSION,
        settings=settings,
    )
    dataset = store.build(target, encoded, progress=progress).artifact
    target = Target(
        asset="base",
        partition="flow",
        code_version=CODE_VERSION,
        settings=settings_identity(PRETRAINING),
        inputs=[dataset.as_input()],
    )
    base = store.build(target, trained, progress=progress).artifact
    print(f"the base: {base.facts}", flush=True)
    return base.folder / "base"


def write_project(root: Path, base: Path) -> Project:
    """Write a project whose one style is the demo's, on the flow base, in two recipes."""
    style = yaml.safe_load((ROOT / "data" / "styles" / "twemoji.yaml").read_text("utf-8"))
    style["base"] = {"model": str(base)}
    style["recipes"] = {name: {**FINE_TUNING, "ema": ema} for name, ema in AVERAGES.items()}
    style["blends"] = {"weights": [0.0, 1.0]}
    style["samples"] |= {"scheduler": "euler", "seeds": [0]}
    style["captions"]["captioner"] = {"model": str(STARTER / "blip")}
    style["scores"]["scorer"] = {"model": str(STARTER / "clip")}
    style["scores"]["classifier"]["model"] = str(STARTER / "judge")
    styles = root / "data" / "styles"
    styles.mkdir(parents=True, exist_ok=True)
    (styles / f"{STYLE}.yaml").write_text(yaml.safe_dump(style), encoding="utf-8")
    shutil.copy(ROOT / "dagster.yaml", root)
    return Project.at(root)


def run(project: Project, compute: ComputeSettings) -> dict[str, ScoreRow]:
    """Bring the style up to date, and return each recipe's row of scores at weight 1."""
    console = Console(stderr=True)
    definitions = build_definitions(
        project, progress_of=lambda _, subject: shown_progress(console, subject), compute=compute
    )
    with shared_wiki(), open_history(project.root) as instance:
        for step in steps_of(Catalogue(project), STYLE):
            run_step(definitions, instance, step)
    catalogue = Catalogue(project)
    found = {}
    for name in AVERAGES:
        scores = catalogue.store.current("scores", Partition(STYLE, name).stored_as)
        if scores is not None:
            rows = read_rows(scores.folder / SCORES, ScoreRow)
            found[name] = next(row for row in rows if row.weight == 1.0)
    return found


def differences(catalogue: Catalogue, compute: Compute) -> dict[str, Estimate]:
    """Return how much more of each the first average has, over the same images and resamples."""
    found: dict[str, Estimate] = {}

    def compare(workspace: Workspace) -> Facts:
        losses = {name: losses_at_1(catalogue, name, compute, workspace) for name in AVERAGES}
        for measure, statistic in (
            ("style learned", style_learned),
            ("base remembered", base_remembered),
        ):
            (first, images, base), (second, *_) = (each[measure] for each in losses.values())
            ours, others = statistic(first, base), statistic(second, base)

            def minus(counts: Counts, ours: Any = ours, others: Any = others) -> float | None:
                one, other = ours(counts), others(counts)
                return None if one is None or other is None else one - other

            groups = [each.group for each in images]
            low, high = bootstrap(minus, groups, range(len(images)), measure)
            found[measure] = Estimate(minus(np.ones(len(images), np.int64)), low, high)
        return {}

    # In the store of the scores, which has the images and the losses.
    catalogue.store.build(
        Target(asset="differences", partition=STYLE, code_version="1", depends_on_outside=True),
        compare,
    )
    return found


def losses_at_1(
    catalogue: Catalogue, recipe: str, compute: Compute, workspace: Workspace
) -> dict[str, tuple[Float64, Sequence[NoisedImage], Float64]]:
    """Return the losses of a recipe's blend of weight 1, the images, and the base's losses."""
    planned = plan_build(catalogue, "scores", Partition(STYLE, recipe)).inputs
    inputs = replace(planned, compute=lambda: compute)
    base = inputs.models["base"]
    sampler = sampler_of(inputs, workspace, denoiser_of(base), known_as=base.version)
    by = judged_by(inputs, sampler, workspace)
    weights = next(
        each.weights for each in blend_candidates(inputs, workspace) if each.weight == 1.0
    )
    if weights is None:
        raise RuntimeError(f"recipe {recipe} has no blend of weight 1")
    return {
        name: (by.losses.of(weights, images), images, by.losses.of(by.base, images))
        for name, images in {"style learned": by.heldout, "base remembered": by.own}.items()
    }


def as_markdown(rows: dict[str, ScoreRow], apart: dict[str, Estimate]) -> str:
    """Return a table of both recipes, and of the difference between them."""
    lines = ["| average | style learned | base remembered |", "| --- | --- | --- |"]
    for name, row in rows.items():
        shown = [in_brackets(each) for each in (row.style_learned, row.base_remembered)]
        lines.append(f"| `{name}` | {' | '.join(shown)} |")
    shown = [in_brackets(each) for each in apart.values()]
    lines.append(f"| {' less '.join(f'`{name}`' for name in rows)} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def in_brackets(figure: Estimate) -> str:
    """Return a figure with its interval."""
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def main() -> None:
    """Make the base, fine-tune it twice, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "flow")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    settings = ComputeSettings(device=arguments.device)
    compute = resolve_compute(settings)
    base = make_base(work, compute, shown_progress(Console(stderr=True)))
    project = write_project(work / "project", base)
    rows = run(project, settings)
    table = as_markdown(rows, differences(Catalogue(project), compute))
    (work / "flow.json").write_text(
        json.dumps({name: asdict(row) for name, row in rows.items()}, indent=1) + "\n",
        encoding="utf-8",
    )
    (work / "flow.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
