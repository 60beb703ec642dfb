"""Style, retention and copying, one row a checkpoint or blend, and the recommended one."""

from styledag.graph.blends import Blend, amount_of
from styledag.graph.checks import BASE_REMEMBERED, COPYING_WITHIN_LIMIT, STYLE_LEARNED
from styledag.graph.snapshots import read_snapshots
from styledag.graph.stage import Inputs, Reads, Settings, Stage, Uses
from styledag.merging.blend import blend_amount
from styledag.sampling.index import read_frames, read_samples
from styledag.scoring import score
from styledag.scoring.records import Candidate
from styledag.scoring.settings import ScoreSettings
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def judge(inputs: Inputs, workspace: Workspace) -> Facts:
    """Score every blend and checkpoint of a model by the images that it drew."""
    from styledag.dataset.read import read_dataset
    from styledag.scoring.classifier import StyleClassifier
    from styledag.scoring.clip import ClipScorer
    from styledag.scoring.score import score_model

    settings, scorer = inputs.settings.of(ScoreSettings), inputs.models["scorer"]
    batch_size, classifier = settings.batch_size, None
    if settings.classifier is not None:
        model = inputs.models["classifier"]
        classifier = StyleClassifier(
            model.folder, model.version, settings.classifier, inputs.compute(), batch_size
        )
    rows = list(read_dataset(inputs.folder("image_dataset")))
    return score_model(
        [*_blends(inputs), *_checkpoints(inputs)],
        base_samples=read_frames(inputs.folder("evolution"))[0],
        style_train=[row.id for row in rows if row.split == "train"],
        style_heldout=[row.id for row in rows if row.split == "validation"],
        scorer=ClipScorer(scorer.folder, scorer.version, inputs.compute(), batch_size),
        settings=settings,
        workspace=workspace,
        classifier=classifier,
    )


def _blends(inputs: Inputs) -> list[Candidate]:
    merged = inputs.every("merged_unet")
    candidates = []
    for key, grid in inputs.every("sample_grid").items():
        blend = Blend.parse(key)
        candidates.append(
            Candidate(
                name=blend.name,
                kind="blend",
                amount=amount_of(merged[key].folder),
                samples=read_samples(grid.folder),
                weight=blend.weight,
                length=blend.length,
            )
        )
    return candidates


def _checkpoints(inputs: Inputs) -> list[Candidate]:
    frames = read_frames(inputs.folder("evolution"))
    return [
        Candidate(
            name=f"epoch {snapshot.epoch}",
            kind="checkpoint",
            amount=blend_amount(1.0, snapshot.base_share),
            samples=frames[snapshot.epoch],
            epoch=snapshot.epoch,
        )
        for snapshot in read_snapshots(inputs.upstream["ema_unet"])
    ]


STAGE = Stage(
    name="scores",
    grain="model",
    description=__doc__,
    group="results",
    kinds=frozenset({"transformers", "numpy"}),
    code_version=score.CODE_VERSION,
    run=judge,
    settings=lambda declared: Settings(declared.style.scores),
    reads=(
        Reads("image_dataset"),
        Reads("ema_unet"),
        Reads("merged_unet"),
        Reads("sample_grid"),
        Reads("evolution"),
    ),
    uses=(
        Uses("scorer", lambda declared: declared.style.scores.scorer),
        Uses("classifier", lambda declared: declared.style.scores.classifier),
    ),
    pool="gpu",
    checks=(COPYING_WITHIN_LIMIT, STYLE_LEARNED, BASE_REMEMBERED),
)
