"""The process that decodes images: one after another, each within limits of memory and time.

It reads frames from standard input and writes frames to standard output; a frame is two lengths,
JSON and bytes. It ends with its parent, whose end closes its input.
"""

import json
import os
import resource
import signal
import struct
import sys
from dataclasses import dataclass
from typing import IO, Any

_LENGTHS = struct.Struct(">II")
_WALL_TIMES = 4


@dataclass(frozen=True)
class WorkerLimits:
    """What one image may cost.

    Attributes:
        memory_bytes: Address space of the process; macOS does not enforce it.
        cpu_s: Processor time of one image; four times as much may pass on the clock.
    """

    memory_bytes: int
    cpu_s: float


def write_frame(file: IO[bytes], record: dict[str, Any], content: bytes = b"") -> None:
    """Write JSON and bytes."""
    encoded = json.dumps(record).encode()
    file.write(_LENGTHS.pack(len(encoded), len(content)) + encoded + content)
    file.flush()


def read_frame(file: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read JSON and bytes.

    Raises:
        EOFError: If the file ends.
    """
    lengths = file.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        raise EOFError
    size, content_size = _LENGTHS.unpack(lengths)
    encoded, content = file.read(size), file.read(content_size)
    if len(encoded) < size or len(content) < content_size:
        raise EOFError
    return json.loads(encoded), content


def main() -> None:
    """Convert images until the input ends; the process of ``worker_pool``."""
    # Decoders print to the standard output now and then, which belongs to the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    from styledag.images.converting.convert import convert_image
    from styledag.images.settings import ImageSettings

    first, _ = read_frame(sys.stdin.buffer)
    settings, limits = ImageSettings(**first["settings"]), WorkerLimits(**first["limits"])
    _limit_memory(limits.memory_bytes)
    write_frame(answers, {"ready": True})
    while True:
        try:
            _, content = read_frame(sys.stdin.buffer)
        except EOFError:
            return
        _limit_time(limits.cpu_s)
        converted = convert_image(content, settings)
        _limit_time(0)
        write_frame(answers, converted.record, converted.jpeg)


def _limit_memory(most_bytes: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        most_bytes = min(most_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, hard))
    except (ValueError, OSError):
        return  # macOS refuses limits below what is mapped already


def _limit_time(cpu_s: float) -> None:
    """Let the kernel end the process by a signal when its time is over; 0 lifts the limit."""
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.setitimer(signal.ITIMER_REAL, cpu_s * _WALL_TIMES)
