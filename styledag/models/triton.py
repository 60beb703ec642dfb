"""Whether Triton can build kernels here: torch uses it on CUDA, for what is compiled and beside."""

import os
import shutil
import sysconfig
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

_LEAST_CAPABILITY = 7


def why_no_kernels() -> str:
    """Return why Triton can build no kernels for the current CUDA device; empty if it can.

    At first use it compiles C against Python's headers (``triton/runtime/build.py``), which images
    of containers and plain installations of Linux often lack.
    """
    import torch

    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    if device.major < _LEAST_CAPABILITY:
        return (
            f"{device.name} has compute capability {device.major}.{device.minor}, and Triton "
            f"needs {_LEAST_CAPABILITY}.0"
        )
    if find_spec("triton") is None:
        return "the package triton is not installed"
    compilers = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"]
    if not any(shutil.which(each) for each in compilers):
        return f"there is no C compiler ({' or '.join(compilers)}): install gcc"
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.is_file():
        return f"Python's headers are missing ({header}): install python3-dev"
    return ""


def use_torch_kernels() -> None:
    """Have torch use its own kernels where it would have Triton build some.

    Since 2.12 it calls Triton for outer products, without asking whether a compiler is there. The
    rotary embeddings of language models are such.
    """
    with suppress(ImportError, AttributeError):  # a torch that has no kernels of this kind
        from torch._native import triton_utils

        triton_utils.deregister_op_overrides()
