"""The most memory that a process had."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_resident() -> int:
    """Return the most bytes that this process had resident.

    Linux's ``getrusage`` also keeps the peak of the process that this one was started by.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(peak) << 10
    peak_unit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_unit if sys.platform == "darwin" else peak_unit << 10
