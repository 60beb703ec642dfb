"""The noise an image starts from; it follows from prompt and seed alone."""

from collections.abc import Sequence

import torch

from styledag.randomness import generator_for
from styledag.sampling.index import Pair


def sample_generators(pairs: Sequence[Pair]) -> list[torch.Generator]:
    """Return one CPU generator for each (prompt, seed), for its first and its ancestral noise.

    No generator is shared, so neither a further prompt nor another batch changes an image.
    """
    return [generator_for("sample", prompt, seed) for prompt, seed in pairs]


def initial_noise(
    generators: Sequence[torch.Generator], shape: tuple[int, int, int]
) -> torch.Tensor:
    """Return standard normal noise, float32 on the CPU, [len(generators), *shape]."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])
