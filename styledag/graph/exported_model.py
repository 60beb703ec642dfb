"""A model of the graph as files for other programs, with its card."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from styledag.bases.find import find_base
from styledag.errors import LineageError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checkpoint_unets import LORA, denoiser_of, whole_unet
from styledag.graph.drawing import MERGED_VAE, WHOLE_BASE, has_decoder
from styledag.graph.names import Partition
from styledag.models.reference import ResolvedModel
from styledag.publishing.model_file import DType, ModelDescription
from styledag.store.artifact import Artifact, Facts

ModelFormat = Literal["diffusers", "single-file", "lora"]


@dataclass(frozen=True)
class _Parts:
    """Folders of a model's parts in diffusers' layout; ``vae`` is the base's where ``None``."""

    base: Path
    unet: Path
    vae: Path | None


def export_model(
    catalogue: Catalogue,
    model: Artifact,
    to: Path,
    form: ModelFormat,
    *,
    dtype: DType = "float16",
    licence: str = "",
) -> Facts:
    """Write a model for other programs and return the facts of what was written.

    Args:
        catalogue: The project.
        model: A checkpoint, an ``ema_unet`` or a blend.
        to: A folder for ``diffusers``, a file ending in ``.safetensors`` for the others.
        form: ``diffusers`` for ``from_pretrained``; ``single-file`` and ``lora`` for the web UIs.
        dtype: Of all weights.
        licence: Licence of the model, for a file's header.

    Raises:
        LineageError: If the style file no longer names the base that the model was trained on.
        ModelError: If the format has no place for the model, or the dtype not for a weight.
        StorageError: If ``to`` contains something else or cannot be written.
    """
    from styledag.publishing.lora import export_lora
    from styledag.publishing.pipeline_folder import export_pipeline
    from styledag.publishing.single_file.export import export_single_file

    partition = Partition.from_store(model.partition)
    description = ModelDescription(
        title=partition.key,
        description=catalogue.style(partition.style).description,
        license=licence,
        tags=("styledag",),
    )
    base = _base_of(catalogue, model)
    if form == "lora":
        return export_lora(model.folder / LORA, to, description, base=base.folder, dtype=dtype)
    with _parts_of(catalogue, model, base, to.absolute().parent) as parts:
        if form == "single-file":
            return export_single_file(
                parts.base,
                to,
                description,
                unet=parts.unet,
                vae=parts.vae,
                dtype=dtype,
                provenance={f"styledag.{model.asset}": model.version},
            )
        names = find_base(parts.base).parts
        replaced = {names.denoiser: parts.unet}
        if parts.vae is not None:
            replaced[names.autoencoder] = parts.vae
        return export_pipeline(parts.base, to, replaced=replaced, dtype=dtype)


def _base_of(catalogue: Catalogue, model: Artifact) -> ResolvedModel:
    """Return the base that a model was made from."""
    style = catalogue.style(Partition.from_store(model.partition).style)
    uses = catalogue.stages[model.asset].uses[0]  # a stage names the base before other models
    made_from = next(each for each in model.build.inputs if each.name == uses.role)
    if catalogue.used_model(style, uses, style.base).version != made_from.version:
        raise LineageError(
            f"{model.asset} of {model.partition} was made from {made_from.partition}, version "
            f"{made_from.version[:12]}, but the style file now names {style.base.model}, which is "
            "another model: name the former base, or materialise the model again"
        )
    return catalogue.used_model(style, WHOLE_BASE, style.base)


@contextmanager
def _parts_of(
    catalogue: Catalogue, model: Artifact, base: ResolvedModel, beside: Path
) -> Iterator[_Parts]:
    partition = Partition.from_store(model.partition)
    vae = None
    if has_decoder(catalogue.declaration(partition)):
        owner = partition.widened("model").stored_as
        vae = catalogue.store.require(MERGED_VAE, owner).folder
    if model.asset == "merged_unet":
        yield _Parts(base.folder, model.folder, vae)
        return
    beside.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=beside, prefix=".styledag-") as scratch,
        whole_unet(model, base=denoiser_of(base), scratch=Path(scratch)) as unet,
    ):
        yield _Parts(base.folder, unet, vae)
