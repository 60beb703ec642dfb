"""The card of an exported model: what is known of it, in the Hub's form."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from styledag.bases.find import find_base
from styledag.graph.exports.exportable import Exportable
from styledag.graph.exports.exported_model import export_model
from styledag.graph.names import Partition
from styledag.graph.tracing.ancestry import Lineage
from styledag.models.config import read_config
from styledag.publishing.cards.model_card import CARD_FILE, model_card
from styledag.publishing.cards.records import (
    CardBase,
    CardDataset,
    CardScore,
    ModelCard,
    Relation,
)
from styledag.publishing.hub.settings import ModelFormat, PublishSettings
from styledag.publishing.model_file import DType
from styledag.publishing.pipeline_folder import INDEX
from styledag.publishing.single_file.stable_diffusion_3 import is_whole
from styledag.store.artifact import Artifact, Facts
from styledag.store.files import storage_errors

_OPTIONAL = ("text_encoder_3", "tokenizer_3")
"""Parts that a pipeline may lack only if it is told so."""
_SCORES = {
    "style_learned": "share of the base's loss on held-out images that is gone; higher is better",
    "base_remembered": "the base's loss on its own images over the model's; 1 is the base",
    "style": "share of the base's distance to the style that it covers; higher is nearer",
    "retention": "likeness to the base's own images; higher is nearer",
    "text_similarity": "likeness of image and prompt; higher is nearer",
    "copying": "share of samples that are too near to a training image; lower is better",
}


@dataclass(frozen=True, kw_only=True)
class CardTerms:
    """What a person states on a card.

    Attributes:
        licence: Licence under which the model is passed on: the Hub's identifier, or a name.
        licence_url: Where the text of a licence is that the Hub has no identifier for.
        repo: Hub id that it is published under; empty for a folder.
        dataset: Hub id that its dataset is published under; empty if it is not.
    """

    licence: str
    licence_url: str
    repo: str
    dataset: str

    @classmethod
    def of(
        cls, settings: PublishSettings, *, target: str = "", dataset: str | None = None
    ) -> "CardTerms":
        """Return what a style file or a person's options state."""
        on_hub = settings.to == "hub"
        if dataset is None and on_hub:
            dataset = settings.dataset
        return cls(
            licence=settings.licence,
            licence_url=settings.licence_url,
            repo=target if on_hub else "",
            dataset=dataset or "",
        )


def export_with_card(
    source: Exportable, to: Path, form: ModelFormat, *, dtype: DType, terms: CardTerms
) -> Facts:
    """Write a model, its card and its sample grid, and return the facts of the model.

    A folder contains ``README.md`` and ``samples.png``. Beside a file ``NAME.safetensors``, the
    card is ``NAME.md`` and the grid ``NAME.png``, which web UIs show as its preview.

    Raises:
        LineageError: If it came from no dataset or no recipe.
        ModelError: If the format has no place for the model, or the dtype not for a weight.
        StorageError: If ``to`` contains something else or cannot be written.
    """
    from styledag.sampling.grid import GRID
    from styledag.sampling.provenance import with_provenance

    in_folder = form == "diffusers"
    card = to / CARD_FILE if in_folder else to.with_suffix(".md")
    grid = to / "samples.png" if in_folder else to.with_suffix(".png")
    # Before the weights, which take longer: what is wrong with a card is known at once.
    text = model_card(
        card_of(source, form, terms, grid=grid.name, file="" if in_folder else to.name)
    )
    facts = export_model(source, to, form, dtype=dtype, licence=terms.licence)
    with storage_errors(str(card)):
        card.write_text(text, encoding="utf-8")
        if source.grid is not None:
            sheet = (source.grid.folder / GRID).read_bytes()
            drawn_by = {"model_version": source.model.version}
            grid.write_bytes(with_provenance(sheet, drawn_by))
    return facts


def card_of(
    source: Exportable, form: ModelFormat, terms: CardTerms, *, grid: str = "", file: str = ""
) -> ModelCard:
    """Return what the card of an exported model states.

    The sample grid and scores are on it if they were made of this version of the model.

    Args:
        source: The model.
        form: The format that it is exported in.
        terms: What a person states.
        grid: Name of the sample grid's file; empty without one.
        file: Name of the model's file; empty for a folder.

    Raises:
        LineageError: If it came from no dataset or no recipe.
    """
    lineage, model, bases = source.lineage, source.model, source.bases
    index = read_config(source.base / INDEX)
    return ModelCard(
        title=source.partition.key,
        description=source.description,
        relation=_relation(form, bases),
        bases=bases,
        dataset=CardDataset(
            name=terms.dataset,
            versions=lineage.dataset_versions,
            images=Counter(image.split for image in lineage.images),
            licences=lineage.licences,
        ),
        licence=terms.licence,
        licence_url=terms.licence_url,
        repo=terms.repo,
        tags=(source.partition.style,),
        prompts=source.prompts,
        grid=grid if source.grid else "",
        recipe=_recipe(lineage),
        scores=() if source.scores is None else _scores(source.scores, source.blend.name),
        lineage=_versions(lineage) | {model.asset: model.version},
        file=file,
        pipeline=index["_class_name"],
        denoiser=index[find_base(source.base).parts.denoiser][-1],
        is_denoiser=not is_whole(source.base),
        absent=tuple(part for part in _OPTIONAL if part in index and index[part][-1] is None),
    )


def _relation(form: ModelFormat, bases: tuple[CardBase, ...]) -> Relation:
    if len(bases) > 1:
        return "merge"
    return "adapter" if form == "lora" else "finetune"


def _versions(lineage: Lineage) -> dict[str, str]:
    """Return versions by asset, from the sources on; by partition of several styles."""
    made = {step.partition for step in lineage.steps if step.code_version}
    several = len({Partition.from_store(each).style for each in made}) > 1
    return {
        f"{step.asset} of {step.partition}"
        if several and step.code_version
        else step.asset: step.version
        for step in reversed(lineage.steps)
    }


def _recipe(lineage: Lineage) -> Mapping[str, str | int | float | bool]:
    return {
        name: value if isinstance(value, str | int | float) else json.dumps(value)
        for name, value in lineage.recipe.items()
        if value is not None
    }


def _scores(scores: Artifact, wanted: str) -> tuple[CardScore, ...]:
    from styledag.manifest import read_rows
    from styledag.scoring.records import Estimate, ScoreRow
    from styledag.scoring.score import SCORER, SCORES, read_summary

    rows = {row.name: row for row in read_rows(scores.folder / SCORES, ScoreRow)}
    if wanted not in rows:
        return ()
    summary = read_summary(scores.folder)
    knows_style = Estimate(**summary["gaps"][SCORER]).is_above_zero
    estimates = {
        name: getattr(rows[wanted], name) for name in _SCORES if name != "style" or knows_style
    }
    return tuple(
        CardScore(
            name=name.replace("_", " "),
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            meaning=_SCORES[name],
        )
        for name, estimate in estimates.items()
        if estimate.value is not None
    )
