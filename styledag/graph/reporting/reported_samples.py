"""Images of blends and checkpoints by the names that their scores have."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from styledag.graph.blending.swept import SWEEP
from styledag.graph.blends import Blend
from styledag.sampling.index import read_frames, read_samples, read_swept
from styledag.store.artifact import Artifact

if TYPE_CHECKING:
    from styledag.report.model import Samples


def samples_by_name(read: Mapping[str, Artifact]) -> "dict[str, Samples]":
    """Return the images of a model's blends and checkpoints.

    Args:
        read: The model's ``evolution``, each ``sample_grid/blend`` and, if there is one, ``sweep``,
            by those names.
    """
    prefix = "sample_grid/"
    grids = {name: grid for name, grid in read.items() if name.startswith(prefix)}
    return {
        **{
            Blend.parse(name.removeprefix(prefix)).name: read_samples(grid.folder)
            for name, grid in grids.items()
        },
        **{
            Blend(weight=weight).name: images
            for weight, images in (read_swept(read[SWEEP].folder) if SWEEP in read else {}).items()
        },
        **{
            f"epoch {epoch}": images
            for epoch, images in read_frames(read["evolution"].folder).items()
        },
    }
