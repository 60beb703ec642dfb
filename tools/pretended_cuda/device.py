"""The device's library, built for the installed torch, and torch's own functions about CUDA."""

import ctypes
import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_SOURCE = Path(__file__).with_suffix(".cpp")
_HEADER = _SOURCE.with_name("pinned_memory.h")
_BUILD = Path(__file__).parents[2] / "build" / "pretended_cuda"
_TOTAL_BYTES = 80 << 30
_NAMES = ("live_bytes", "peak_bytes", "reset_peak", "waits", "refuse_waits")
_SYNC_ERROR = 2
"""torch's debug mode of synchronisation in which a wait is an error."""


class PretendedDevice:
    """The device's counters.

    Args:
        library: What :func:`build` made, loaded.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        for name in _NAMES:
            function = getattr(library, f"pretended_{name}")
            function.restype = ctypes.c_int64
            function.argtypes = [ctypes.c_int64] if name == "refuse_waits" else []
            setattr(self, name, function)

    live_bytes: Any
    """Bytes that tensors have on the device now."""
    peak_bytes: Any
    """The most of them since the last ``reset_peak``."""
    reset_peak: Any
    waits: Any
    """How often the host waited: for a number of the device's, or for a copy that is not pinned."""
    refuse_waits: Any
    """Whether a wait is an error from now on."""


def build() -> Path:
    """Return the library for the installed torch, compiled when it is not there yet.

    Raises:
        SystemExit: If there is no compiler, or torch has another interface.
    """
    torch = _torch_folder()
    changed_ns = max(each.stat().st_mtime_ns for each in (_SOURCE, _HEADER))
    library = _BUILD / f"{importlib.metadata.version('torch')}-{changed_ns}.so"
    if library.exists():
        return library
    compiler = shutil.which("g++")
    if compiler is None:
        raise SystemExit("the pretended device is compiled: install g++")
    _BUILD.mkdir(parents=True, exist_ok=True)
    partial = library.with_suffix(".partial")
    includes = (torch / "include", torch / "include/torch/csrc/api/include")
    command = [compiler, "-O1", "-std=c++20", "-fPIC", "-shared", str(_SOURCE), "-o", str(partial)]
    command += [word for folder in includes for word in ("-isystem", str(folder))]
    command += [f"-L{torch / 'lib'}", "-lc10", "-ltorch_cpu"]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(f"{_SOURCE.name} is written for torch 2.13: change it for this one")
    return partial.rename(library)


def _torch_folder() -> Path:
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        raise SystemExit("torch is not installed")
    return Path(found.origin).parent


def install() -> PretendedDevice:
    """Make torch see one CUDA device, and return its counters.

    Raises:
        SystemExit: If torch was imported before, which reads once whether there is CUDA.
    """
    if "torch" in sys.modules:
        raise SystemExit("install the pretended device before torch is imported")
    library = build()
    for name in ("libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(_torch_folder() / "lib" / name), mode=ctypes.RTLD_GLOBAL)
    loaded = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    loaded.pretended_install()
    device = PretendedDevice(loaded)
    _change_torch(device)
    return device


def _change_torch(device: PretendedDevice) -> None:
    """Put in what a build of torch for the CPU leaves out below ``torch.cuda``."""
    import torch

    fraction = [1.0]

    def set_fraction(share: float, at: int) -> None:
        fraction[0] = share * (_index(at) + 1)

    def statistics(at: int) -> dict[str, Any]:
        _index(at)
        bytes_of = {"all": {"current": device.live_bytes(), "peak": device.peak_bytes()}}
        return {"allocated_bytes": bytes_of, "reserved_bytes": bytes_of, "num_ooms": 0}

    def reset_peak(at: int) -> None:
        _index(at)
        device.reset_peak()

    sync_mode = [0]

    def set_sync_mode(mode: int) -> None:
        sync_mode[0] = mode
        device.refuse_waits(mode == _SYNC_ERROR)

    class Runtime:
        def cudaMemGetInfo(self, at: int) -> tuple[int, int]:  # noqa: N802 - CUDA's own name
            _index(at)
            return _TOTAL_BYTES - device.live_bytes(), _TOTAL_BYTES

    below = {
        "getDeviceCount": lambda: 1,
        "getDevice": lambda: 0,
        "setDevice": _index,
        "exchangeDevice": lambda _: 0,
        "maybeExchangeDevice": lambda _: 0,
        "memoryStats": statistics,
        "resetPeakMemoryStats": reset_peak,
        "getMemoryFraction": lambda at: fraction[_index(at)],
        "setMemoryFraction": set_fraction,
        "emptyCache": lambda: None,
        "synchronize": lambda: None,
        "isInBadFork": lambda: False,
        "getCurrentRawStream": lambda _: 0,
        "set_sync_debug_mode": set_sync_mode,
        "get_sync_debug_mode": lambda: sync_mode[0],
    }
    for name, function in below.items():
        setattr(torch._C, f"_cuda_{name}", function)
    stream = _Stream()
    above: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "cudart": Runtime,
        "get_device_properties": lambda at=None: _Properties(_index_of(at)),
        "get_device_capability": lambda at=None: (9, _index_of(at)),
        "get_device_name": lambda at=None: _Properties(_index_of(at)).name,
        "is_bf16_supported": lambda *_, **__: True,
        "current_stream": lambda at=None: (_index_of(at), stream)[1],
        "synchronize": _index_of,
        "default_generators": (torch.Generator("cuda:0"),),
        "manual_seed_all": lambda _: None,
        "Stream": _Stream,
        "Event": _Event,
    }
    for name, value in above.items():
        setattr(torch.cuda, name, value)
    memory: Any = torch.cuda.memory  # which has a name of its own for what it imports
    memory.is_initialized = above["is_initialized"]


def _index(at: object) -> int:
    """Return an index that CUDA's own functions were given, which take nothing else."""
    if type(at) is not int or at != 0:
        raise TypeError(f"the one device has the index 0, not {at!r}")
    return at


def _index_of(device: Any = None) -> int:
    from torch.cuda._utils import _get_device_index

    return _index(_get_device_index(device, optional=True))


class _Properties:
    name, major, minor, total_memory, multi_processor_count = "pretended", 9, 0, _TOTAL_BYTES, 1

    def __init__(self, at: int) -> None:
        self.index = at


class _Stream:
    """The device's one stream, where everything is done at once."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def synchronize(self) -> None:
        """Return, since nothing is waiting."""

    def wait_stream(self, _: object) -> None:
        """Return, since nothing is waiting."""


class _Event:
    """A point in the stream; one that was never recorded must not be waited for."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._recorded = False

    def record(self, stream: object = None) -> None:
        """Mark the end of what was given to the device."""
        del stream
        self._recorded = True

    def synchronize(self) -> None:
        """Return, since nothing is waiting."""
        if not self._recorded:
            raise RuntimeError("an event is waited for that was never recorded")
