"""A denoiser's weights as its base stores them; its passes may have them rounded or in few bits."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

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


def stored_weights(base: Base, names: Collection[str]) -> dict[str, Makes]:
    """Return what reads each weight of a base's denoiser from its files, in the order of names.

    Args:
        base: The base.
        names: Of all weights and buffers. What no file has under such a name is loaded once: a
            buffer that follows from the configuration, or a weight that diffusers renames.

    Raises:
        ModelError: If the files are missing or damaged.
    """
    reader = open_tensors(base.folder / base.parts.denoiser)
    renamed = set(names) - set(reader.specs)
    loaded = base.denoiser().state_dict() if renamed else {}
    kept = {name: loaded[name] for name in renamed}
    return {
        name: partial(_itself, kept[name]) if name in renamed else partial(reader.read, name)
        for name in names
    }


def _itself(tensor: Tensor) -> Tensor:
    return tensor
