"""Fuzz for minutes, guided by coverage: ``python -m tools.fuzz``; needs atheris.

The properties are those that hypothesis tests with a few hundred examples. Each is fuzzed in a
process of its own, which an exception ends.
"""

import argparse
import importlib
import subprocess
import sys
from collections.abc import Iterator

MODULES = (
    "styledag_tests.collect.web.test_fuzz",
    "styledag_tests.collect.test_folder_fuzz",
    "styledag_tests.images.converting.test_convert_fuzz",
)


def properties() -> Iterator[tuple[str, str]]:
    """Yield module and name of each property."""
    for module in MODULES:
        for name, found in vars(importlib.import_module(module)).items():
            if name.startswith("test_") and hasattr(found, "hypothesis"):
                yield module, name


def fuzz(module: str, name: str, seconds: int) -> None:
    """Fuzz one property in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["styledag"]):
        test = getattr(importlib.import_module(module), name)
    atheris.Setup(
        [name, f"-max_total_time={seconds}", "-max_len=4096"], test.hypothesis.fuzz_one_input
    )
    atheris.Fuzz()


def main() -> int:
    """Fuzz all properties one after the other, and say which of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all together")
    parser.add_argument("--only", nargs=2, metavar=("MODULE", "NAME"))
    arguments = parser.parse_args()
    if arguments.only:
        module, name = arguments.only
        fuzz(module, name, arguments.seconds)
        return 0
    found = list(properties())
    failed = []
    for module, name in found:
        seconds = str(max(1, arguments.seconds // len(found)))
        command = [sys.executable, "-m", "tools.fuzz", "--only", module, name]
        done = subprocess.run([*command, "--seconds", seconds], check=False)
        if done.returncode:
            failed.append(f"{module}.{name}")
    held = f"{len(found) - len(failed)} of {len(found)} properties held"
    sys.stdout.write("\n".join([held, *failed]) + "\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
