"""Batches prepared in a thread while the device computes the ones before."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

T = TypeVar("T")

_AHEAD = 4
_POLL_S = 0.1


def prefetched(
    make: Iterable[Callable[[], T]], *, device: torch.device | None = None, ahead: int = _AHEAD
) -> Generator[T, None, None]:
    """Yield what each function returns, calling them in order in a thread of its own.

    An error in the thread is raised where its item was due. The thread ends with the iterator.

    Args:
        make: Functions to call.
        device: CUDA device that the results are pinned for; each thread has its own current one.
        ahead: Most results that wait; above 0.
    """
    worker = _Worker(make, ahead, device)
    try:
        while (made := worker.waiting.get()) is not None:
            if made.error is not None:
                raise made.error
            yield made.value  # type: ignore[misc]
    finally:
        worker.leave()


@dataclass(frozen=True)
class _Made(Generic[T]):
    value: T | None = None
    error: BaseException | None = None


class _Worker(Generic[T]):
    def __init__(
        self, make: Iterable[Callable[[], T]], ahead: int, device: torch.device | None
    ) -> None:
        self.waiting: queue.Queue[_Made[T] | None] = queue.Queue(ahead)
        self._make = make
        self._device = device
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, name="styledag-prefetch", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        self._left.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            if self._device is not None:
                torch.cuda.set_device(self._device)
            for each in self._make:
                self._put(_Made(value=each()))
                if self._left.is_set():
                    return
        except BaseException as exc:  # noqa: BLE001 - raised again in the thread that asked
            self._put(_Made(error=exc))
        else:
            self._put(None)

    def _put(self, made: _Made[T] | None) -> None:
        while not self._left.is_set():
            try:
                self.waiting.put(made, timeout=_POLL_S)
            except queue.Full:
                continue
            return
