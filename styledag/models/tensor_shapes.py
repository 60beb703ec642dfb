"""The shapes of the tensors in one file of a model, without downloading or reading the tensors."""

from collections.abc import Mapping
from pathlib import Path

from styledag.errors import ModelError
from styledag.models.hub import ask_hub
from styledag.models.hub_errors import hub_errors, quiet_retries
from styledag.models.reference import ModelReference


def tensor_shapes(
    reference: ModelReference, file: str, *, project: Path
) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of each tensor in a safetensors file by the tensor's name.

    Raises:
        ModelError: If there is no such file, or it is no safetensors file.
    """
    folder = project / reference.model
    if not folder.exists():
        from huggingface_hub import HfApi
        from huggingface_hub.errors import SafetensorsParsingError

        ask_hub(reference.model, reference.revision)
        with hub_errors(reference.model, reference.revision), quiet_retries():
            try:
                found = HfApi().parse_safetensors_file_metadata(
                    reference.model, file, revision=reference.revision
                )
            except SafetensorsParsingError as exc:
                raise ModelError(f"{reference.model}/{file} is no safetensors file: {exc}") from exc
        return {name: tuple(each.shape) for name, each in found.tensors.items()}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / file, "numpy") as tensors:
            return {
                name: tuple(tensors.get_slice(name).get_shape())
                for name in tensors.keys()  # noqa: SIM118 - it has no iterator
            }
    except (OSError, SafetensorError) as exc:
        raise ModelError(f"{folder / file} cannot be read: {exc}") from exc
