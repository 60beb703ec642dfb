"""A model of the graph as files for other programs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from styledag.bases.find import find_base
from styledag.graph.checkpoint_unets import LORA, whole_unet
from styledag.graph.exports.exportable import Exportable
from styledag.publishing.hub.settings import ModelFormat
from styledag.publishing.model_file import DType, ModelDescription, check_file_name
from styledag.sampling.provenance import PREFIX
from styledag.store.artifact import Facts


def export_model(
    source: Exportable, to: Path, form: ModelFormat, *, dtype: DType, licence: str
) -> Facts:
    """Write a model for other programs and return the facts of what was written.

    Args:
        source: The model.
        to: A folder for ``diffusers``, a file ending in ``.safetensors`` for the others.
        form: ``diffusers`` for ``from_pretrained``; ``single-file`` and ``lora`` for the web UIs.
        dtype: Of all weights.
        licence: Licence of the model, for a file's header.

    Raises:
        ModelError: If the format has no place for the model, or the dtype not for a weight.
        StorageError: If ``to`` contains something else or cannot be written.
    """
    from styledag.publishing.lora import export_lora
    from styledag.publishing.pipeline_folder import export_pipeline
    from styledag.publishing.single_file.export import export_single_file

    if form != "diffusers":
        check_file_name(to)  # Before anything is read, which takes longer.
    model, base = source.model, source.base
    description = ModelDescription(
        title=source.partition.key,
        description=source.description,
        license=licence,
        tags=("styledag",),
    )
    provenance = {f"{PREFIX}{model.asset}": model.version}
    if form == "lora":
        return export_lora(
            model.folder / LORA, to, description, base=base, dtype=dtype, provenance=provenance
        )
    denoiser, beside = find_base(base).parts.denoiser, to.absolute().parent
    beside.mkdir(parents=True, exist_ok=True)
    with own_parts(source, beside) as replaced:
        if form == "single-file":
            return export_single_file(
                base,
                to,
                description,
                denoiser=replaced[denoiser],
                vae=source.vae,
                dtype=dtype,
                provenance=provenance,
            )
        return export_pipeline(
            base, to, replaced=replaced, dtype=dtype, provenance={denoiser: provenance}
        )


@contextmanager
def own_parts(source: Exportable, beside: Path | None = None) -> Iterator[dict[str, Path]]:
    """Yield the folders of the parts that a model has in place of its base's, by part.

    Args:
        source: The model.
        beside: Where a checkpoint that is stored as a difference is restored, until the block ends;
            the system's folder for temporary files when left out.
    """
    names = find_base(source.base).parts
    parts = {} if source.vae is None else {names.autoencoder: source.vae}
    if source.model.asset == "merged_unet":
        yield {**parts, names.denoiser: source.model.folder}
        return
    with (
        tempfile.TemporaryDirectory(dir=beside, prefix=".styledag-") as scratch,
        whole_unet(
            source.model, base=source.base / names.denoiser, scratch=Path(scratch)
        ) as denoiser,
    ):
        yield {**parts, names.denoiser: denoiser}
