"""Style learned, base remembered, copying: a row a checkpoint or blend, and the one to take.

The base judges by its own denoising loss, and what it says decides. Scores by CLIP and a classifier
stand beside it.
"""

from typing import TYPE_CHECKING

from styledag.graph.blending.base import MERGED_PARTS, READS_PARTS, blended_base
from styledag.graph.blending.swept import (
    READS_SWEEP,
    SWEEP,
    base_share_of,
    swept_blends,
    swept_denoisers,
)
from styledag.graph.blends import Blend, amount_of
from styledag.graph.checkpoint_unets import denoiser_of, snapshot_unets
from styledag.graph.checks import base_remembered, copying_within_limit, style_learned
from styledag.graph.drawing import WHOLE_BASE, sampler_of, samples_of
from styledag.graph.names import Partition
from styledag.graph.snapshots import read_snapshots
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage, Uses
from styledag.merging.blend import blend_amount
from styledag.sampling.index import read_frames, read_samples, read_swept
from styledag.sampling.weights import Weights
from styledag.scoring import score
from styledag.scoring.records import Candidate
from styledag.scoring.settings import ScoreSettings
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace
from styledag.tensors.values import weights_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from styledag.sampling.sampler import Sampler
    from styledag.scoring.by_base import JudgedBy


def judge(inputs: Inputs, workspace: Workspace) -> Facts:
    """Score every blend and checkpoint of a model by the base's loss and the images it drew."""
    with swept_blends(inputs) as swept:
        return _judge(inputs, workspace, swept)


def _judge(inputs: Inputs, workspace: Workspace, swept: "Mapping[float, Weights]") -> Facts:
    from styledag.dataset.read import read_dataset
    from styledag.scoring.by_base import scores_by_base
    from styledag.scoring.classifier import StyleClassifier
    from styledag.scoring.embedding_scorer import EmbeddingScorer
    from styledag.scoring.score import score_model
    from styledag.scoring.untrained_base import adapter_with_images, untrained_candidates

    settings, scorer = inputs.settings.of(ScoreSettings), inputs.models["scorer"]
    batch_size, classifier = settings.batch_size, None
    if settings.classifier is not None:
        model = inputs.models["classifier"]
        classifier = StyleClassifier(
            model.folder, model.version, settings.classifier, inputs.compute(), batch_size
        )
    base, denoiser = inputs.models["base"], denoiser_of(inputs.models["base"])
    sampler = sampler_of(inputs, workspace, denoiser, known_as=base.version)
    families: dict[str, dict[str, str]] = {"train": {}, "validation": {}}
    for row in read_dataset(inputs.folder("image_dataset")):
        families[row.split][row.id] = row.family
    other_styles = {
        style: {
            row.id: row.family for row in read_dataset(dataset.folder) if row.split == "validation"
        }
        for style, dataset in inputs.every("image_dataset").items()
    }
    adapter = None
    if settings.ip_adapter is not None:
        adapter = adapter_with_images(
            settings.ip_adapter, inputs.models["ip_adapter"], families["train"], workspace
        )
    candidates = [
        *sorted([*blend_candidates(inputs, workspace), *_swept(inputs, swept)], key=_by_weight),
        *_checkpoints(inputs, workspace),
        *untrained_candidates(sampler, settings, adapter, workspace),
    ]
    return score_model(
        candidates,
        base_scores=scores_by_base(candidates, judged_by(inputs, sampler, workspace)),
        base_samples=read_frames(inputs.folder("evolution"))[0],
        style_train=families["train"],
        style_heldout=families["validation"],
        scorer=EmbeddingScorer(scorer.folder, scorer.version, inputs.compute(), batch_size),
        settings=settings,
        workspace=workspace,
        classifier=classifier,
        other_styles=other_styles,
        mirrored=bool(inputs.upstream["encoded_dataset"].build.settings["flip"]),
    )


def judged_by(inputs: Inputs, sampler: "Sampler", workspace: Workspace) -> "JudgedBy":
    """Return what the base judges a model's candidates by: images of the style, and its own.

    Args:
        inputs: The stage's inputs.
        sampler: Of the base.
        workspace: Remembers images and losses.
    """
    from styledag.scoring.base_remembered import own_images
    from styledag.scoring.by_base import JudgedBy
    from styledag.scoring.denoising_loss import DenoisingLosses
    from styledag.scoring.style_learned import heldout_images
    from styledag.training.encoding.dataset import EncodedDataset

    settings = inputs.settings.of(ScoreSettings)
    encoded = EncodedDataset.open(inputs.folder("encoded_dataset"))
    prompts = settings.outside_prompts or sampler.settings.prompts
    # A sampler of its own, whose denoiser leaves the memory to those that are judged.
    drawing = sampler.with_weights(sampler.weights)
    return JudgedBy(
        base=sampler.weights,
        heldout=heldout_images(encoded, settings.loss_images),
        own=own_images(drawing, prompts, settings.loss_images, workspace),
        losses=DenoisingLosses(
            sampler.parts,
            sampler.base_version,
            workspace,
            # As many as a guided sampler's pass has, which the device is known to hold.
            batch_size=2 * sampler.settings.batch_size,
        ),
    )


def blend_candidates(inputs: Inputs, workspace: Workspace) -> list[Candidate]:
    """Return the stored blends of a model."""
    merged, parts = inputs.every("merged_unet"), inputs.every(MERGED_PARTS)
    base, candidates = inputs.models["base"], []
    for key, grid in inputs.every("sample_grid").items():
        blend, unet = Blend.parse(key), merged[key].folder
        version = weights_version(unet, known_as=merged[key].version, items=workspace.items)
        own = blended_base(base, parts.get(key))
        candidates.append(
            Candidate(
                name=blend.name,
                kind="blend",
                amount=amount_of(unet),
                samples=read_samples(grid.folder),
                weights=Weights.stored(version, unet),
                weight=None if blend.mixed else blend.weight,
                length=blend.length,
                base=None
                if own is base
                else sampler_of(inputs, workspace, unet, known_as=merged[key].version, base=own),
            )
        )
    return candidates


def _swept(inputs: Inputs, swept: "Mapping[float, Weights]") -> list[Candidate]:
    return [
        Candidate(
            name=Blend(weight=weight).name,
            kind="blend",
            amount=blend_amount(weight, base_share_of(inputs)),
            samples=read_swept(inputs.folder(SWEEP))[weight],
            weights=weights,
            weight=weight,
            is_stored=False,
        )
        for weight, weights in swept.items()
    ]


def _by_weight(blend: Candidate) -> tuple[bool, float, float]:
    """Sort blends by rising weight, then averages by rising length, then those of several."""
    return blend.weight is None, blend.length or 0, blend.weight or 0


def _checkpoints(inputs: Inputs, workspace: Workspace) -> list[Candidate]:
    frames = read_frames(inputs.folder("evolution"))
    shares = {each.epoch: each.base_share for each in read_snapshots(inputs.upstream["ema_unet"])}
    return [
        Candidate(
            name=f"epoch {epoch}",
            kind="checkpoint",
            amount=blend_amount(1.0, shares[epoch]),
            samples=frames[epoch],
            weights=weights,
            epoch=epoch,
        )
        for epoch, weights in snapshot_unets(inputs, workspace).items()
    ]


def _other_styles(declared: Declaration) -> list[Partition]:
    return [Partition(each) for each in declared.style.scores.other_styles]


def _settings(declared: Declaration) -> Settings:
    scores = Settings(declared.style.scores, samples_of(declared))
    return scores.beside(blends=declared.style.blends)


STAGE = Stage(
    name="scores",
    grain="model",
    description=__doc__,
    group="results",
    kinds=frozenset({"diffusers", "transformers", "numpy"}),
    code_version=score.CODE_VERSION,
    run=judge,
    settings=_settings,
    reads=(
        Reads("image_dataset", further=_other_styles),
        Reads("encoded_dataset"),
        Reads("ema_unet"),
        Reads("checkpoint"),
        Reads("merged_unet"),
        READS_PARTS,
        Reads("sample_grid"),
        READS_SWEEP,
        Reads("evolution"),
    ),
    uses=(
        WHOLE_BASE,
        Uses("scorer", lambda declared: declared.style.scores.scorer),
        Uses("classifier", lambda declared: declared.style.scores.classifier),
        Uses("ip_adapter", lambda declared: declared.style.scores.ip_adapter),
    ),
    further_uses=swept_denoisers,
    pool="gpu",
    checks=(copying_within_limit, style_learned, base_remembered),
)
