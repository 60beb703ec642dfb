"""Processes that decode images: a crash or a hang of a decoder costs one image."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from itertools import islice
from queue import LifoQueue
from typing import TypeVar

from styledag.errors import DeviceError
from styledag.images.converting.convert import Converted, rejected
from styledag.images.settings import ImageSettings
from styledag.images.worker import WorkerLimits, read_frame, write_frame
from styledag.settings import settings_identity

MACHINE_REASONS = frozenset({"decoder_crashed", "decode_timeout", "out_of_memory"})
"""Reasons that the machine has a part in: another run may decode the image."""
PROGRAM = "from styledag.images.worker import main; main()"

_CPU_S = 60.0
_BASE_BYTES, _BYTES_A_PIXEL = 2 << 30, 24
_TRIES = 2
_IMAGES_A_WORKER = 16
_IN_WORK_A_WORKER = 2
_TIMERS = {-signal.SIGPROF, -signal.SIGALRM}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Item = TypeVar("Item")
Result = TypeVar("Result")


class Worker:
    """One process, started when it is first used and again after its end.

    Args:
        settings: Size and manner of the JPEGs.
        limits: What one image may cost.
        program: Python code that the process runs.
    """

    def __init__(self, settings: ImageSettings, limits: WorkerLimits, program: str) -> None:
        self._settings = settings
        self._limits = limits
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def convert(self, content: bytes) -> Converted:
        """Return an image file's JPEG, or why there is none.

        An image whose decoder crashes is tried once more in a new process, since something else
        may have ended the first.

        Raises:
            DeviceError: If the process cannot be started.
        """
        for _ in range(_TRIES):
            process = self._process or self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                write_frame(process.stdin, {}, content)
                return Converted(*read_frame(process.stdout))
            except (EOFError, OSError):
                ended = self.close()
                if ended in _TIMERS:
                    return rejected(
                        "decode_timeout", f"decoding takes more than {self._limits.cpu_s:g} s"
                    )
        return rejected("decoder_crashed", f"its decoder ends the process ({_words(ended)})")

    def close(self) -> int:
        """End the process, if there is one, and return its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        try:
            return process.wait(timeout=self._limits.cpu_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(part for part in sys.path if part)
        one_thread = dict.fromkeys(_THREADS, "1")
        with tempfile.TemporaryFile() as complaints:
            self._process = process = subprocess.Popen(
                [sys.executable, "-c", self._program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env={**os.environ, **one_thread, "PYTHONPATH": path},
            )
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                settings = settings_identity(self._settings)
                hello = {"settings": settings, "limits": asdict(self._limits)}
                write_frame(process.stdin, hello)
                read_frame(process.stdout)
            except (EOFError, OSError) as exc:
                ended = self.close()
                complaints.seek(0)
                last = complaints.read().decode(errors="replace").strip().splitlines()[-1:]
                raise DeviceError(
                    f"the process that decodes images does not start ({_words(ended)}): "
                    f"{last[0] if last else 'it says nothing'}"
                ) from exc
        return process


class WorkerPool:
    """As many workers as are of use, for the length of a ``with`` block.

    Args:
        settings: Size and manner of the JPEGs.
        images: How many there are to decode; a few do not make all processors start a process.
        limits: What one image may cost; by the settings' ``max_pixels`` when left out.
        program: Python code that the processes run.
    """

    def __init__(
        self,
        settings: ImageSettings,
        *,
        images: int,
        limits: WorkerLimits | None = None,
        program: str = PROGRAM,
    ) -> None:
        memory_bytes = _BASE_BYTES + _BYTES_A_PIXEL * settings.max_pixels
        limits = limits or WorkerLimits(memory_bytes, _CPU_S)
        self._count = min(processors(), 1 + images // _IMAGES_A_WORKER)
        self._workers = [Worker(settings, limits, program) for _ in range(self._count)]
        self._idle: LifoQueue[Worker] = LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_exception: object) -> None:
        for worker in self._workers:
            worker.close()

    def convert(self, content: bytes) -> Converted:
        """Return what an idle worker makes of an image file; waits until there is one.

        Raises:
            DeviceError: If the process cannot be started.
        """
        worker = self._idle.get()
        try:
            return worker.convert(content)
        finally:
            self._idle.put(worker)

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield items with what a function made of each, as they are finished.

        More are in work than there are workers, so that some are read and written while others
        are decoded; but only a few, so that memory does not grow with their number.

        Args:
            function: Called in threads; has the pool convert images.
            items: Read one by one.
        """
        waiting = iter(items)
        in_work = self._count * _IN_WORK_A_WORKER
        executor = ThreadPoolExecutor(in_work, thread_name_prefix="decode")
        try:
            running: dict[Future[Result], Item] = {}
            while True:
                for item in islice(waiting, in_work - len(running)):
                    running[executor.submit(function, item)] = item
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            executor.shutdown(cancel_futures=True)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _words(status: int) -> str:
    try:
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"
    except ValueError:
        return f"exit status {status}"
