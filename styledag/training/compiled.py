"""Compile the modules that a denoiser repeats, not all of it: seconds instead of minutes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from styledag.bases.base import Base

_GRAPHS_OF_ONE_MODULE = 64
"""Stable Diffusion's residual blocks come in some twenty shapes; torch gives up after 8."""


def compile_modules(denoiser: nn.Module, base: Base) -> int:
    """Compile each module that the base repeats in place, and return how many there are.

    Modules of the same shapes share one compiled graph.

    Args:
        denoiser: Changed in place; its weights' names are not.
        base: The base that it is of.
    """
    modules = base.modules_to_compile(denoiser)
    for module in modules:
        module.compile(dynamic=False)
    return len(modules)


@contextmanager
def room_for_graphs() -> Iterator[None]:
    """Allow one module as many compiled graphs as a denoiser needs, while this runs."""
    with torch._dynamo.config.patch(recompile_limit=_GRAPHS_OF_ONE_MODULE):
        yield
