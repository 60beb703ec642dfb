"""A model of the graph as files for other programs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from styledag.bases.find import find_base
from styledag.graph.checkpoint_unets import LORA, whole_unet
from styledag.graph.exports.exportable import Exportable
from styledag.publishing.hub.settings import ModelFormat
from styledag.publishing.model_file import DType, ModelDescription
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

    model, base = source.model, source.base
    description = ModelDescription(
        title=source.partition.key,
        description=source.description,
        license=licence,
        tags=("styledag",),
    )
    if form == "lora":
        return export_lora(model.folder / LORA, to, description, base=base, dtype=dtype)
    with _unet_of(source, to.absolute().parent) as unet:
        if form == "single-file":
            return export_single_file(
                base,
                to,
                description,
                unet=unet,
                vae=source.vae,
                dtype=dtype,
                provenance={f"styledag.{model.asset}": model.version},
            )
        names = find_base(base).parts
        replaced = {names.denoiser: unet}
        if source.vae is not None:
            replaced[names.autoencoder] = source.vae
        return export_pipeline(base, to, replaced=replaced, dtype=dtype)


@contextmanager
def _unet_of(source: Exportable, beside: Path) -> Iterator[Path]:
    if source.model.asset == "merged_unet":
        yield source.model.folder
        return
    own = source.base / find_base(source.base).parts.denoiser
    beside.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=beside, prefix=".styledag-") as scratch,
        whole_unet(source.model, base=own, scratch=Path(scratch)) as unet,
    ):
        yield unet
