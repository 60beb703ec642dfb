"""An interrupt that ends what runs, even where a library swallows its exception."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 5.0


@contextmanager
def lasting_interrupts() -> Iterator[None]:
    """Repeat an interrupt, or a request to terminate, until it has ended the block.

    Its exception is raised wherever the main thread is. While torch is imported that can be in a
    callback or below a bare ``except``, and a run that was cancelled would go on to its end. None
    is repeated after the block: it would end what runs next.
    """
    raises = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(raises):
        yield
        return
    is_over = threading.Event()
    repeating: list[threading.Thread] = []

    def repeat() -> None:
        while not is_over.wait(_AGAIN_S):
            os.kill(os.getpid(), signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if repeating and is_over.is_set():
            return  # a repetition that was on its way when the block ended
        if not repeating:
            repeating.append(threading.Thread(target=repeat, name="interrupts", daemon=True))
            repeating[0].start()
        raises(number, frame)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, interrupt)
        try:
            yield
        finally:
            is_over.set()
    finally:  # A repetition may be raised in front of the line above, and the next in seconds only.
        is_over.set()
        for each in repeating:
            each.join()
        for number, handler in before.items():
            signal.signal(number, handler)
