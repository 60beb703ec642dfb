"""Measure what the demo promises: ``python -m tools.starter.face`` fine-tunes a starter on Twemoji.

Twemoji's animals and food are taught, with the package's own training; then vehicles, buildings
and tools are asked for, over all weights of the blend, and the judges classify the samples.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from styledag.bases.conditioning import Conditioning
from styledag.bases.latents import LatentScale, Moments
from styledag.bases.texts.clip import STATES
from styledag.demo.judge import ArtistJudge
from styledag.merging.methods.lerp import lerp
from styledag.models.compute import Compute
from styledag.progress import SilentProgress
from styledag.style.load import load_style
from styledag.training.encoding.dataset import EncodedDataset, EncodedSample
from styledag.training.recipe import Recipe, recipe_from_json
from styledag.training.records import Snapshot
from styledag.training.train import train_unet
from tools.starter.artist_judge import TWEMOJI, load_artist_judge, share_of_artist
from tools.starter.artist_judge_recipe import artists_drawings
from tools.starter.evaluate import subject_judge
from tools.starter.figures import GUIDANCE_SCALE, Models, asked_subjects, drawn, load_models
from tools.starter.pixels import parts_of
from tools.starter.subject_judge import SubjectJudge
from tools.starter.subjects import STYLE_CATEGORIES, Subject, with_article
from tools.starter.train import Training, arguments_of, save_grid, training_of

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
ASKED_KINDS = ("transport", "place-building", "place-religious", "tool", "lock")
SEEDS = (0,)
TAUGHT_EVERY = 8
"""Of so many subjects that the style contains, one is asked for too."""
_BUCKET = "64x64"


def style_images(training: Training) -> tuple[list[Subject], Tensor]:
    """Return the style's subjects and Twemoji's drawings of them, uint8, BCHW."""
    at, pixels = artists_drawings(training.images)["twemoji"]
    subjects = [training.images.subjects[one] for one in at.tolist()]
    taught = torch.tensor([subject.category in STYLE_CATEGORIES for subject in subjects])
    return [subject for subject in subjects if subject.category in STYLE_CATEGORIES], pixels[taught]


def asked_for(subjects: tuple[Subject, ...]) -> list[Subject]:
    """Return the subjects in focus that the demo asks for, outside the style's."""
    focus = (subjects[at] for at in asked_subjects(subjects))
    return [subject for subject in focus if subject.subcategory.startswith(ASKED_KINDS)]


def encoded(models: Models, captions: list[str], pixels: Tensor) -> EncodedDataset:
    """Return images and captions as training reads them, without mirrored ones.

    Args:
        models: The starter.
        captions: One for each image.
        pixels: Drawings, uint8. # BCHW
    """
    shown = pixels.float() / 127.5 - 1
    with torch.no_grad():
        parts = [models.vae.encode(part).latent_dist for part in parts_of(shown)]
    distinct = tuple(sorted({"", *captions}))
    return EncodedDataset(
        samples=tuple(
            EncodedSample(
                id=f"{row:064d}",
                captions=(distinct.index(text),),
                split="train",
                family="",
                bucket=_BUCKET,
                row=row,
            )
            for row, text in enumerate(captions)
        ),
        captions=distinct,
        flip=False,
        scale=LatentScale(models.vae.config.scaling_factor),
        moments={
            _BUCKET: Moments(
                torch.cat([part.mean for part in parts])[:, None],
                torch.cat([part.logvar for part in parts])[:, None],
            )
        },
        conditioning=Conditioning({STATES: models.text.of(list(distinct))}),
    )


def recipe_of(style: Path, changes: str) -> Recipe:
    """Return the demo's recipe with changes, and without snapshots on the way.

    Args:
        style: The demo's style file.
        changes: What differs, as a JSON object with a recipe's keys.

    Raises:
        TrainingError: If a key or value is not a recipe's.
    """
    (recipe,) = load_style(style).recipes.values()
    quiet = {"snapshot_every_epochs": 999, "save_state_every_steps": 10_000}
    return recipe_from_json(
        json.dumps({**asdict(recipe), **quiet, **json.loads(changes)}), "--recipe"
    )


def try_face(
    training: Training, starter: Path, arguments: argparse.Namespace
) -> dict[str, list[float]]:
    """Return, for each weight, the shares taken for Twemoji and recognised; write a grid.

    ``taught`` is the share taken for Twemoji at weight 1 of subjects that the style contains.

    Args:
        training: Where images and judges are.
        starter: The starter's folder.
        arguments: Style file, changes to its recipe, judge of subjects and template.
    """
    models = load_models(starter)
    subjects, pixels = style_images(training)
    template = arguments.template
    captions = [template.format(with_article(subject.name)) for subject in subjects]
    with TemporaryDirectory() as scratch:
        result = train_unet(
            encoded(models, captions, pixels),
            starter / "stable-diffusion",
            recipe_of(arguments.style, arguments.recipe),
            inputs={},
            compute=Compute(torch.device("cpu"), torch.float32),
            scratch=Path(scratch),
            on_snapshot=_nothing,
            progress=SilentProgress(),
            work=Counter(),
        )
        tuned = _weights_of(result.final.folder)
    asked = [subject.name for subject in asked_for(training.images.subjects)]
    judges = (
        load_artist_judge(starter / "judge"),
        subject_judge(training, arguments.judge),
    )
    shares, rows = judged(models, tuned, asked, judges, template=template)
    save_grid(torch.cat(rows), arguments.grid, columns=len(rows[0]))
    taught = share_of_artist(judges[0], drawn(models, captions[::TAUGHT_EVERY], SEEDS[0]), TWEMOJI)
    return {**shares, "taught": [taught], "seconds": [result.seconds]}


def judged(
    models: Models,
    tuned: Mapping[str, Tensor],
    names: list[str],
    judges: tuple[ArtistJudge, SubjectJudge],
    *,
    template: str = "a drawing of {}",
    seeds: tuple[int, ...] = SEEDS,
) -> tuple[dict[str, list[float]], list[Tensor]]:
    """Return, for each weight, the shares taken for Twemoji and recognised, and images.

    Args:
        models: The base; its UNet holds the last blend afterwards.
        tuned: The fine-tuned UNet's weights.
        names: Subjects to ask for.
        judges: Of artists and of subjects.
        template: How prompts and captions speak, with ``{}`` for the subject.
        seeds: Seeds of the samples; the first one's are returned.
    """
    artists, subjects = judges
    prompts = [template.format(with_article(name)) for name in names]
    base = {name: value.clone() for name, value in models.unet.state_dict().items()}
    shares: dict[str, list[float]] = {"weight": [], "twemoji": [], "recognised": []}
    rows = []
    for weight in WEIGHTS:
        models.unet.load_state_dict(_blend(base, tuned, weight))
        samples = torch.cat([drawn(models, prompts, seed) for seed in seeds])
        shares["weight"].append(weight)
        shares["twemoji"].append(share_of_artist(artists, samples, TWEMOJI))
        recognised = subjects.recognised(samples, names * len(seeds))
        shares["recognised"].append(float(recognised.float().mean()))
        rows.append(samples[: len(names)])
    return shares, rows


def _nothing(snapshot: Snapshot) -> None:
    del snapshot


def _weights_of(folder: Path) -> dict[str, Tensor]:
    from diffusers import UNet2DConditionModel

    unet: Any = UNet2DConditionModel.from_pretrained(folder, dtype=torch.float32)
    return dict(unet.state_dict())


def _blend(
    base: Mapping[str, Tensor], tuned: Mapping[str, Tensor], weight: float
) -> dict[str, Tensor]:
    return {name: lerp(value, tuned[name], weight) for name, value in base.items()}


def main() -> None:
    """Fine-tune and judge by the command line's options, and print the shares as JSON."""
    parser = arguments_of(__doc__)
    parser.add_argument("--starter", type=Path, default=Path("data/starter"))
    parser.add_argument("--grid", type=Path, default=Path("face.png"))
    parser.add_argument("--judge", type=Path, help="file that keeps the judge of subjects")
    parser.add_argument("--template", default="a drawing of {}")
    parser.add_argument("--style", type=Path, default=Path("data/styles/twemoji.yaml"))
    parser.add_argument(
        "--recipe", default="{}", metavar="JSON", help="changes to the style's recipe"
    )
    arguments = parser.parse_args()
    shares = try_face(training_of(arguments), arguments.starter, arguments)
    sys.stdout.write(json.dumps({"guidance_scale": GUIDANCE_SCALE, **shares}, indent=2) + "\n")


if __name__ == "__main__":
    main()
