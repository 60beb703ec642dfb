"""The card of an exported model: what the store knows of it, in the Hub's form."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from styledag.errors import LineageError
from styledag.graph.ancestry import Lineage, describe_lineage
from styledag.graph.blends import Blend
from styledag.graph.catalogue import Catalogue
from styledag.graph.exported_model import ModelFormat, export_model
from styledag.graph.lineage import find_ancestor
from styledag.graph.names import Partition, weight_key
from styledag.publishing.cards.model_card import CARD_FILE, model_card
from styledag.publishing.cards.records import (
    CardBase,
    CardDataset,
    CardScore,
    ModelCard,
    Relation,
)
from styledag.publishing.model_file import DType
from styledag.store.artifact import Artifact, Facts
from styledag.store.files import storage_errors

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

    licence: str = "unknown"
    licence_url: str = ""
    repo: str = ""
    dataset: str = ""


def export_with_card(
    catalogue: Catalogue,
    model: Artifact,
    to: Path,
    form: ModelFormat,
    *,
    dtype: DType,
    terms: CardTerms,
) -> Facts:
    """Write a model, its card and its sample grid, and return the facts of the model.

    A folder contains ``README.md`` and ``samples.png``. Beside a file ``NAME.safetensors``, the
    card is ``NAME.md`` and the grid ``NAME.png``, which web UIs show as its preview.

    Args:
        catalogue: The project.
        model: A checkpoint, an ``ema_unet`` or a blend.
        to: As for :func:`~styledag.graph.exported_model.export_model`.
        form: The format.
        dtype: Of all weights.
        terms: What a person states.

    Raises:
        LineageError: If a build that it came from is no longer in the store, or the style file no
            longer names its base.
        ModelError: If the format has no place for the model, or the dtype not for a weight.
        PublishError: If the licence is neither known to the Hub nor linked.
        StorageError: If ``to`` contains something else or cannot be written.
    """
    in_folder = form == "diffusers"
    card = to / CARD_FILE if in_folder else to.with_suffix(".md")
    grid = to / "samples.png" if in_folder else to.with_suffix(".png")
    # Before the weights, which take longer: what is wrong with a card is known at once.
    text, image = exported_card(
        catalogue, model, form, terms, grid=grid.name, file="" if in_folder else to.name
    )
    facts = export_model(catalogue, model, to, form, dtype=dtype, licence=terms.licence)
    with storage_errors(str(card)):
        card.write_text(text, encoding="utf-8")
        if image is not None:
            grid.write_bytes(image)
    return facts


def exported_card(
    catalogue: Catalogue,
    model: Artifact,
    form: ModelFormat,
    terms: CardTerms,
    *,
    grid: str,
    file: str = "",
) -> tuple[str, bytes | None]:
    """Return the card of an exported model and the PNG on it, marked as made by a model.

    The sample grid and scores are on it if they were made of this version of the model; without a
    grid, the PNG is ``None``.

    Args:
        catalogue: The project.
        model: A checkpoint, an ``ema_unet`` or a blend.
        form: The format that it is exported in.
        terms: What a person states.
        grid: Name of the sample grid's file.
        file: Name of the model's file; empty for a folder.

    Raises:
        LineageError: If a build that it came from is no longer in the store.
        PublishError: If the licence is neither known to the Hub nor linked.
    """
    from styledag.publishing.marking import mark_png
    from styledag.sampling.grid import GRID

    partition = Partition.from_store(model.partition)
    style = catalogue.style(partition.style)
    lineage = describe_lineage(catalogue.store, model, images=True)
    bases = _bases(catalogue, model)
    drawn = _made_of(catalogue, model, "sample_grid")
    card = ModelCard(
        title=partition.key,
        description=style.description,
        relation=_relation(form, bases),
        bases=bases,
        dataset=CardDataset(
            name=terms.dataset,
            version=lineage.dataset_version,
            images=Counter(image.split for image in lineage.images),
            licences=lineage.licences,
        ),
        licence=terms.licence,
        licence_url=terms.licence_url,
        repo=terms.repo,
        tags=(partition.style,),
        prompts=style.samples.prompts,
        grid=grid if drawn else "",
        recipe=_recipe(lineage),
        scores=_scores(catalogue, model),
        lineage={step.asset: step.version for step in reversed(lineage.steps)}
        | {model.asset: model.version},
        single_file=file if form == "single-file" else "",
    )
    image = mark_png((drawn.folder / GRID).read_bytes()) if drawn else None
    return model_card(card), image


def _relation(form: ModelFormat, bases: tuple[CardBase, ...]) -> Relation:
    if len(bases) > 1:
        return "merge"
    return "adapter" if form == "lora" else "finetune"


def _bases(catalogue: Catalogue, model: Artifact) -> tuple[CardBase, ...]:
    """Return the models from outside the graph that a model was made from."""
    bases = {}
    for each in model.build.inputs:
        if not each.build:
            name, _, revision = each.partition.partition("@")
            folder = catalogue.path(name)
            # Of a folder its name alone: where it is on this machine is nobody's business.
            shown = folder.name if folder.is_dir() else name
            bases[name] = CardBase(
                name=shown, revision=revision or each.version, licence=_licence_of(folder)
            )
    return tuple(bases.values())


def _licence_of(folder: Path) -> str:
    """Return the licence that a model's folder states in its README's front matter."""
    from huggingface_hub import ModelCard as HubCard

    readme = folder / "README.md"
    stated = HubCard.load(readme).data.get("license") if readme.is_file() else None
    return str(stated) if stated else ""


def _recipe(lineage: Lineage) -> Mapping[str, str | int | float | bool]:
    return {
        name: value if isinstance(value, str | int | float) else json.dumps(value)
        for name, value in lineage.recipe.items()
        if value is not None
    }


def _scores(catalogue: Catalogue, model: Artifact) -> tuple[CardScore, ...]:
    from styledag.manifest import read_rows
    from styledag.scoring.discrimination import tells
    from styledag.scoring.records import Estimate, ScoreRow
    from styledag.scoring.score import SCORER, SCORES, SUMMARY

    scores = _made_of(catalogue, model, "scores")
    if scores is None:
        return ()
    wanted = Blend.parse(_blend_key(model)).name
    rows = {row.name: row for row in read_rows(scores.folder / SCORES, ScoreRow)}
    if wanted not in rows:
        return ()
    summary = json.loads((scores.folder / SUMMARY).read_text(encoding="utf-8"))
    knows_style = tells(Estimate(**summary["gaps"][SCORER]))
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


def _blend_key(model: Artifact) -> str:
    """Return the key of the blend that a model is: the whole model is the one of weight 1."""
    return Partition.from_store(model.partition).part or weight_key(1.0)


def _made_of(catalogue: Catalogue, model: Artifact, asset: str) -> Artifact | None:
    """Return the current artifact of an asset that shows this version of a model, if one does."""
    partition = Partition.from_store(model.partition)
    if model.asset == "checkpoint":
        return None
    if asset == "sample_grid":
        partition = partition.of(_blend_key(model))
    else:
        partition = partition.widened("model")
    found = catalogue.store.current(asset, partition.stored_as)
    if found is None:
        return None
    try:
        tuned = find_ancestor(catalogue.store, found, "ema_unet")
    except LineageError:
        return None
    return (
        found
        if tuned.version == find_ancestor(catalogue.store, model, "ema_unet").version
        else None
    )
