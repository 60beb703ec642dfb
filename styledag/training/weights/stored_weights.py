"""A denoiser's weights as its base stores them; its passes may have them rounded or in few bits."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from styledag.bases.base import Base
from styledag.tensors.reader import open_tensors

Makes = Callable[[], Tensor]


class LazyTensors(Mapping[str, Tensor]):
    """Tensors by name, each made when it is read: all at once would be a second denoiser."""

    def __init__(self, makers: Mapping[str, Makes]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> Tensor:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def stored_weights(base: Base, denoiser: Any) -> dict[str, Makes]:
    """Return what reads each weight of a base's denoiser from its files, in the denoiser's order.

    Args:
        base: The base.
        denoiser: Just loaded. What no file has under the same name is copied from it: a buffer
            that follows from the configuration, or a weight that diffusers has renamed.

    Raises:
        ModelError: If the files are missing or damaged.
    """
    reader = open_tensors(base.folder / base.parts.denoiser)
    return {
        name: partial(reader.read, name)
        if name in reader.specs
        else partial(_itself, tensor.detach().to("cpu", copy=True))
        for name, tensor in denoiser.state_dict().items()
    }


def _itself(tensor: Tensor) -> Tensor:
    return tensor
