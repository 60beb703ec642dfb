"""A model with all that exporting, describing and publishing it reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from styledag.errors import LineageError
from styledag.graph.blends import Blend
from styledag.graph.lineage import Ancestor, nearest
from styledag.graph.names import Partition, weight_key
from styledag.graph.tracing.ancestry import Lineage, datasets_of, lineage_of
from styledag.models.reference import named_in
from styledag.publishing.cards.records import CardBase
from styledag.store.artifact import Artifact
from styledag.tensors.reader import open_tensors


@dataclass(frozen=True, kw_only=True)
class Exportable:
    """A model and what belongs to it.

    Attributes:
        model: A checkpoint, an ``ema_unet`` or a blend.
        traced: The model and all that it came from, nearest first.
        base: Folder of the base that it was made from, in diffusers' layout.
        root: The project's folder, to which names of models are relative.
        vae: Folder of its own autoencoder; ``None`` if that is the base's.
        grid: Its sample grid, if one was drawn of this version.
        scores: Its scores, if this version was scored.
        description: The style's, for a reader.
        prompts: Of the sample grid.
    """

    model: Artifact
    traced: Sequence[Ancestor]
    base: Path
    root: Path
    vae: Path | None
    grid: Artifact | None
    scores: Artifact | None
    description: str
    prompts: tuple[str, ...]

    @property
    def partition(self) -> Partition:
        """What it is a partition of."""
        return Partition.from_store(self.model.partition)

    @property
    def blend(self) -> Blend:
        """The blend that it is; the whole model is the one of weight 1."""
        return Blend.parse(blend_key(self.model))

    @property
    def dataset(self) -> Artifact:
        """The dataset that it was trained on."""
        return nearest(self.traced, "image_dataset")

    @property
    def datasets(self) -> tuple[Artifact, ...]:
        """The same; several of a blend of several models."""
        return datasets_of(self.traced)

    @cached_property
    def lineage(self) -> Lineage:
        """All that it came from, with every image."""
        return lineage_of(self.traced, images=True)

    @cached_property
    def bases(self) -> tuple[CardBase, ...]:
        """The models from outside the graph that it was made from."""
        bases = {}
        for each in self.model.build.inputs:
            if not each.build:
                name, revision, denoiser = named_in(each.partition, self.root)
                folder = self.root / name
                # Of a path its name alone: where it is on this machine is nobody's business.
                bases[name] = CardBase(
                    name=folder.name if folder.exists() else name,
                    revision=revision or each.version,
                    denoiser=PurePath(denoiser).name,
                    licence=_licence_of(folder, name, revision),
                )
        return tuple(bases.values())


def blend_key(model: Artifact) -> str:
    """Return the key of the blend that a model is: the whole model is the one of weight 1."""
    return Partition.from_store(model.partition).part or weight_key(1.0)


def check_base(model: Artifact, version: str, name: str) -> None:
    """Check that a base is the one that a model was made from.

    Raises:
        LineageError: If it is another one.
    """
    made_from = next(each for each in model.build.inputs if each.name in ("base", "base_unet"))
    if version != made_from.version:
        raise LineageError(
            f"{model.asset} of {model.partition} was made from {made_from.partition}, version "
            f"{made_from.version[:12]}, but the style file now names {name}, which is "
            "another model: name the former base, or materialise the model again"
        )


def _licence_of(folder: Path, name: str, revision: str) -> str:
    """Return the licence that a model states: its folder's or the Hub's card, a file's header."""
    from huggingface_hub import ModelCard, hf_hub_download
    from huggingface_hub.errors import HTTPError

    if folder.is_file():
        with open_tensors(folder, eight_bits=lambda _: True) as reader:
            return reader.metadata.get("modelspec.license", "")
    readme = folder / "README.md"
    try:
        if not folder.is_dir():
            readme = Path(hf_hub_download(name, "README.md", revision=revision))
        stated = ModelCard.load(readme).data.get("license") if readme.is_file() else None
    except (HTTPError, OSError, ValueError):
        return ""  # the card calls it not stated
    return str(stated) if stated else ""
