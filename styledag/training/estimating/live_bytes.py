"""Counting the memory that tensor operations hold, on real tensors and on the meta device alike."""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """While it is entered, counts the bytes of tensors that operations make and have not let go.

    Views take nothing. What an operation needs only inside its kernel is not seen, but may be
    stated. Gradients that meet are added in place, as autograd does where nothing else holds the
    first of them: it makes a new one for the sum only because operations are watched.

    Args:
        known: Tensors that are there already and shall not be counted.
        inside: The bytes that an operation needs inside its kernel once its result is made.

    Attributes:
        live: Bytes now.
        allocated: Bytes of all tensors ever made.
    """

    def __init__(
        self, known: Iterable[Tensor] = (), inside: Callable[[Any, Any], int] = lambda *_: 0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self._peak = 0
        self._sum: _Sum | None = None
        self.allocated = 0
        self._inside = inside
        self._known = {id(storage): storage for storage in map(Tensor.untyped_storage, known)}
        self._seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    @property
    def peak(self) -> int:
        """Most bytes so far."""
        if self._sum is not None:
            in_place = self._sum.first() is None
            self._peak = max(self._peak, self.live if in_place else self._sum.live)
            self._sum = None
        return self._peak

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it made."""
        del types
        peak = self.peak
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self._count(each.untyped_storage())
        self._peak = max(self._peak, self.live + self._inside(func, result))
        if _sums_gradients(func) and not args[0]._is_view():  # a view holds what it is a view of
            self._sum = _Sum(weakref.ref(args[0].untyped_storage()), self.live)
            self._peak = peak
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


@dataclass(frozen=True)
class _Sum:
    """A sum of gradients, of which the next operation shows whether it would be in place.

    Attributes:
        first: Storage of the first gradient, gone by then if nothing else held it.
        live: Bytes when both gradients and their sum were there.
    """

    first: weakref.ref[torch.UntypedStorage]
    live: int


def _sums_gradients(func: Any) -> bool:
    """Whether an operation is autograd's own, for what several functions give back of one tensor.

    After a function in Python it cannot be told from those that the function calls.
    """
    return (
        func is torch.ops.aten.add.Tensor
        and torch._C._current_graph_task_id() != -1
        and not torch.is_grad_enabled()
        and not isinstance(torch._C._current_autograd_node(), FunctionCtx)
    )
