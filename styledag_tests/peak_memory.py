"""How much memory a piece of work takes, in a process of its own."""

import subprocess
import sys
from pathlib import Path

_CODE = """
import sys
from pathlib import Path
from benchmarks.memory import peak_resident
root = Path(sys.argv[1])
{imports}
before = peak_resident()
{work}
print(peak_resident() - before)
"""


def bytes_above_start(imports: str, work: str, root: Path) -> int:
    """Return the most bytes that some work takes above those after its imports.

    Args:
        imports: Code whose memory does not count.
        work: Code that is given the folder ``root``.
        root: The folder.
    """
    code = _CODE.format(imports=imports, work=work)
    command = [sys.executable, "-c", code, str(root)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(run.stdout.splitlines()[-1])
