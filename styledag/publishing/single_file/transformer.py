"""A transformer's tensors under the names of its original checkpoints."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.single_file.names import OriginalTensor, Source
from styledag.models.single_file.transformer_names import TransformerNames
from styledag.publishing.single_file.parts import PIECE_ELEMENTS

if TYPE_CHECKING:
    import torch

    from styledag.tensors.reader import TensorReader

PART = "transformer"
_RESOLUTION = "1024x1024"
"""That all of these families were trained for at last; ModelSpec demands one."""


@dataclass(frozen=True)
class Transformer:
    """The weights of a transformer, open for reading in pieces.

    Attributes:
        config: Its ``config.json``.
        reader: Its weights.
        names: Of its original checkpoints.
    """

    config: Mapping[str, Any]
    reader: "TensorReader"
    names: TransformerNames

    def tensors(self) -> list[OriginalTensor]:
        """Return the file's tensors, sorted by name.

        Raises:
            ModelError: If diffusers' converter would not read one back as it was.
        """
        stacked: dict[str, list[Source]] = {}
        for name in sorted(self.reader.specs, key=lambda each: (self.names.order(each), each)):
            stacked.setdefault(self.names.original(name), []).append((PART, name))
        tensors = [
            OriginalTensor(name, self._shape(sources), tuple(sources))
            for name, sources in sorted(stacked.items())
        ]
        self._check(tensors)
        return tensors

    def pieces(self, tensor: OriginalTensor) -> "Iterator[torch.Tensor]":
        """Yield a tensor's elements in order, flattened, a few megabytes at a time."""
        for _, name in tensor.sources:
            rows = self.reader.specs[name].rows
            halves = [(0, rows)]
            if self._is_swapped(name):
                halves = [(rows // 2, rows), (0, rows // 2)]
            for first, last in halves:
                step = max(1, PIECE_ELEMENTS * rows // self.reader.specs[name].numel)
                for start in range(first, last, step):
                    yield self.reader.read(name, start, min(start + step, last))

    def technical(self) -> dict[str, str]:
        """Return what a header states beside title and description."""
        return {
            "modelspec.architecture": self.names.architecture(self.config),
            "modelspec.implementation": self.names.implementation,
            "modelspec.resolution": _RESOLUTION,
        }

    def _shape(self, sources: list[Source]) -> tuple[int, ...]:
        shapes = [self.reader.specs[name].shape for _, name in sources]
        if len(shapes) == 1:
            return shapes[0]
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def _is_swapped(self, name: str) -> bool:
        layer = name.rpartition(".")[0]
        if not layer.endswith(self.names.swapped or ("\0",)):
            return False
        # With two halves, scale and shift; with more, those of blocks that go on.
        rows, width = self.reader.specs[f"{layer}.weight"].shape
        return rows == 2 * width

    def _check(self, tensors: list[OriginalTensor]) -> None:
        """Run diffusers' converter on tensors that contain the numbers of their sources' rows."""
        import torch
        from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

        numbers = {name: number for number, name in enumerate(sorted(self.reader.specs))}

        def tagged(name: str) -> "torch.Tensor":
            rows, *rest = self.reader.specs[name].shape
            tags = torch.full((rows,), 2 * numbers[name])
            tags[rows // 2 :] += 1
            return tags.view(-1, *(1 for _ in rest))

        def as_written(name: str) -> "torch.Tensor":
            tags = tagged(name)
            return torch.cat(tags.chunk(2)[::-1]) if self._is_swapped(name) else tags

        written = {
            tensor.name: torch.cat([as_written(name) for _, name in tensor.sources])
            for tensor in tensors
        }
        kind = str(self.config["_class_name"])
        convert = SINGLE_FILE_LOADABLE_CLASSES[kind]["checkpoint_mapping_fn"]
        try:
            read = convert(checkpoint=written, config=dict(self.config))
        except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as exc:
            raise ModelError(
                "diffusers' converter cannot read the names of the single file "
                f"({type(exc).__name__}: {exc}): export in diffusers' format instead"
            ) from exc
        for name in sorted(read.keys() | numbers.keys()):
            if name not in read or name not in numbers or not torch.equal(read[name], tagged(name)):
                raise ModelError(
                    f"tensor {name!r} of the transformer does not come back from the single file "
                    "as it was: export in diffusers' format instead"
                )


def open_transformer(
    pipeline: Path, stack: ExitStack, *, denoiser: Path | None, vae: Path | None
) -> Transformer:
    """Return a pipeline's transformer, open until ``stack`` is closed.

    Args:
        pipeline: Folder in diffusers' layout.
        stack: Closes the files.
        denoiser: Folder of the transformer that replaces the pipeline's.
        vae: Must be ``None``: the file has no place for another autoencoder.

    Raises:
        ModelError: If the transformer's original code names nothing of it, or an autoencoder was
            fine-tuned.
    """
    from styledag.tensors.reader import open_tensors

    folder = denoiser or pipeline / PART
    config = read_config(folder / "config.json")
    names = find_base(pipeline).elsewhere.tensors
    if names is None:
        raise ModelError(
            f"{pipeline} has a {config.get('_class_name')}, of which no web UI reads single files: "
            "export it in diffusers' format instead"
        )
    if vae is not None:
        raise ModelError(
            "a single file of a transformer has no place for the fine-tuned decoder: export in "
            "diffusers' format instead, or set decoder.weight to 0"
        )
    return Transformer(config, stack.enter_context(open_tensors(folder)), names)
