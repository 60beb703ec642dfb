"""Room on the device for what draws a snapshot, where training leaves too little."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from styledag.errors import StyledagError

T = TypeVar("T")


def with_room(work: Callable[[], T], held: Callable[[], Iterable[Tensor]]) -> T:
    """Return what ``work`` returns; if the device's memory does not suffice for it, with more.

    A recipe is refused where its training does not fit. Drawing needs the base's other parts beside
    it: where both do not fit at once, what training holds waits in host memory meanwhile.

    Args:
        work: Is called again from the start if memory runs out.
        held: Returns the tensors that training keeps on the device between two steps.

    Raises:
        StyledagError: What ``work`` raises, the second time if memory ran out the first time.
    """
    try:
        return work()
    except (StyledagError, torch.OutOfMemoryError) as exc:
        if not _ran_out(exc):
            raise
    # Outside of the handler, which keeps what ``work`` had loaded so far.
    gc.collect()
    with in_host_memory(held()):
        return work()


@contextmanager
def in_host_memory(tensors: Iterable[Tensor]) -> Iterator[None]:
    """Move tensors to host memory while the block runs, and back to their device after it.

    Tensors that are views of one memory stay so.

    Args:
        tensors: All that refer to the memory that is to be freed.
    """
    shared: dict[int, list[Tensor]] = {}
    for each in tensors:
        shared.setdefault(each.untyped_storage()._cdata, []).append(each)
    moved: list[tuple[list[Tensor], torch.device]] = []
    try:
        for views in shared.values():
            moved.append((views, views[0].device))
            _move(views, torch.device("cpu"))
        yield
    finally:
        while moved:
            _move(*moved.pop())


def _move(views: Sequence[Tensor], device: torch.device) -> None:
    """Give views of one memory a copy of it on a device, and let go of it."""
    storage = views[0].untyped_storage()
    content = torch.empty(0, dtype=torch.uint8, device=storage.device)
    content.set_(storage, 0, (storage.nbytes(),), (1,))
    copied = content.to(device, copy=True).untyped_storage()
    for view in views:
        like = torch.empty(0, dtype=view.dtype, device=device)
        view.data = like.set_(copied, view.storage_offset(), view.shape, view.stride())


def _ran_out(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or isinstance(
        error.__cause__, torch.OutOfMemoryError
    )
