"""Counting the memory that tensor operations hold, on real tensors and on the meta device alike."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """While it is entered, counts the bytes of tensors that operations make and have not let go.

    Views take nothing. What an operation needs only inside its kernel is not seen.

    Args:
        known: Tensors that are there already and shall not be counted.

    Attributes:
        live: Bytes now.
        peak: Most bytes so far.
        allocated: Bytes of all tensors ever made.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self.allocated = 0
        self._known = {id(storage): storage for storage in map(Tensor.untyped_storage, known)}
        self._seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it made."""
        del types
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self._count(each.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        # torch hands out the same Python object for a storage for as long as that object lives.
        key = id(storage)
        if key in self._seen or key in self._known:
            return
        size = storage.nbytes()

        def let_go(_: object) -> None:
            self.live -= size
            del self._seen[key]

        self._seen[key] = weakref.ref(storage, let_go)
        self.allocated += size
        self.live += size
        self.peak = max(self.peak, self.live)
