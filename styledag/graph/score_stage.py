"""Judges what a model's grids and snapshots show."""

from styledag.graph.blends import Blend, blends_of
from styledag.graph.model_stages import GetCompute
from styledag.graph.names import ModelName
from styledag.graph.plan import Plan
from styledag.graph.snapshots import read_snapshots
from styledag.merging.blend import blend_amount
from styledag.sampling.index import read_frames, read_samples
from styledag.scoring.records import Candidate
from styledag.store.artifact import Artifact, Facts
from styledag.store.workspace import Workspace


def judge(get_compute: GetCompute, plan: Plan, workspace: Workspace) -> Facts:
    """Score every blend and checkpoint of a model by the images that it drew."""
    from styledag.dataset.read import read_dataset
    from styledag.scoring.classifier import StyleClassifier
    from styledag.scoring.clip import ClipScorer
    from styledag.scoring.score import score_model

    settings, scorer = plan.style.scores, plan.models["scorer"]
    batch_size, classifier = settings.batch_size, None
    if settings.classifier is not None:
        model = plan.models["classifier"]
        classifier = StyleClassifier(
            model.folder, model.version, settings.classifier, get_compute(), batch_size
        )
    rows = list(read_dataset(plan.folder("image_dataset")))
    return score_model(
        [*_blends(plan), *_checkpoints(plan)],
        base_samples=read_frames(plan.folder("evolution"))[0],
        style_train=[row.id for row in rows if row.split == "train"],
        style_heldout=[row.id for row in rows if row.split == "validation"],
        scorer=ClipScorer(scorer.folder, scorer.version, get_compute(), batch_size),
        settings=settings,
        workspace=workspace,
        classifier=classifier,
    )


def checkpoint_name(epoch: int) -> str:
    """Return what scores and report call a checkpoint."""
    return f"epoch {epoch}"


def grids_of(plan: Plan) -> dict[Blend, Artifact]:
    """Return the sample grids that a model's plan reads, by rising weight, then length."""
    model = ModelName.parse(plan.target.partition)
    return {
        blend: plan.upstream[f"sample_grid/{blend.key}"]
        for blend in blends_of(plan.style, model.recipe)
    }


def _blends(plan: Plan) -> list[Candidate]:
    return [
        Candidate(
            name=blend.name,
            kind="blend",
            amount=grid.facts["amount"],
            samples=read_samples(grid.folder),
            weight=blend.weight,
            length=blend.length,
        )
        for blend, grid in grids_of(plan).items()
    ]


def _checkpoints(plan: Plan) -> list[Candidate]:
    frames = read_frames(plan.folder("evolution"))
    return [
        Candidate(
            name=checkpoint_name(snapshot.epoch),
            kind="checkpoint",
            amount=blend_amount(1.0, snapshot.base_share),
            samples=frames[snapshot.epoch],
            epoch=snapshot.epoch,
        )
        for snapshot in read_snapshots(plan.upstream["ema_unet"])
    ]
