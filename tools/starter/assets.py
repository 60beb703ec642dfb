"""The starter's training as a code location of its own: ``dagster dev -m``, or ``make starter``.

The same stages run without Dagster: ``python -m tools.starter.train``.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pydantic

if TYPE_CHECKING:
    from tools.starter.train import Training

GROUP = "starter"


class StarterConfig(dg.Config):
    """Where the starter is trained and put.

    Attributes:
        work: Folder of downloads, states and logs.
        out: Folder of the finished starter.
        threads: CPU threads; 0 leaves torch's own number.
        steps: Lengths of stages by name, where they differ from the recipes'.
    """

    work: str = ".starter"
    out: str = "data/starter"
    threads: int = 0
    steps: dict[str, int] = pydantic.Field(default_factory=dict)


def training_of(config: StarterConfig) -> "Training":
    """Return the training that a run is configured for."""
    import torch

    from tools.starter.train import Training

    if config.threads:
        torch.set_num_threads(config.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Training(Path(config.work), device, config.steps)


def trained(config: StarterConfig, stage: str) -> dg.MaterializeResult[None]:
    """Train a stage to its end, from wherever it was stopped, and report its last figures."""
    from tools.starter.train import STAGES

    training = training_of(config)
    STAGES[stage](training)
    log = training.folder / f"{stage}.log.jsonl"
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figures = {name: value for line in lines for name, value in line.items()}
    return dg.MaterializeResult(metadata={**figures, "log": dg.MetadataValue.path(str(log))})


@dg.asset(group_name=GROUP)
def autoencoder(config: StarterConfig) -> dg.MaterializeResult[None]:
    """The autoencoder that the UNet draws in the latents of."""
    return trained(config, "autoencoder")


@dg.asset(group_name=GROUP)
def clip(config: StarterConfig) -> dg.MaterializeResult[None]:
    """CLIP; its text tower becomes the pipeline's."""
    return trained(config, "clip")


@dg.asset(group_name=GROUP, deps=[clip])
def blip(config: StarterConfig) -> dg.MaterializeResult[None]:
    """BLIP, whose vision tower starts from CLIP's."""
    return trained(config, "blip")


@dg.asset(group_name=GROUP, deps=[autoencoder, clip])
def unet(config: StarterConfig) -> dg.MaterializeResult[None]:
    """The UNet, conditioned on CLIP's frozen text states."""
    return trained(config, "unet")


@dg.asset(group_name=GROUP, deps=[autoencoder])
def artist_judge(config: StarterConfig) -> dg.MaterializeResult[None]:
    """The classifier of Twemoji's drawings and the other artists'."""
    return trained(config, "artist-judge")


@dg.asset(group_name=GROUP, deps=[blip, unet, artist_judge])
def starter(config: StarterConfig) -> dg.MaterializeResult[None]:
    """The starter's folder: its models in the formats of the big ones."""
    from tools.starter.assemble import assemble

    assemble(training_of(config), Path(config.out))
    return dg.MaterializeResult(metadata={"folder": dg.MetadataValue.path(config.out)})


@dg.asset(group_name=GROUP, deps=[starter])
def starter_figures(config: StarterConfig) -> dg.MaterializeResult[None]:
    """The starter's figures, measured by judges of their own and written into its cards."""
    from tools.starter.evaluate import evaluate, subject_judge

    training = training_of(config)
    figures = evaluate(training, Path(config.out), subject_judge(training))
    return dg.MaterializeResult(metadata=dict(figures))


defs = dg.Definitions(
    assets=[
        autoencoder,
        clip,
        blip,
        unet,
        artist_judge,
        starter,
        starter_figures,
    ],
    jobs=[dg.define_asset_job("train_starter", selection=dg.AssetSelection.groups(GROUP))],
)
