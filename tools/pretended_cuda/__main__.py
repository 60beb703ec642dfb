"""Run a module while torch sees the pretended device."""

import runpy
import sys

from tools.pretended_cuda.device import install


def main() -> None:
    """Install the device, then run the module that the command line names."""
    if len(sys.argv) < 2:
        raise SystemExit("name a module to run, such as: pytest -m gpu")
    install()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
