"""``python -m styledag.training`` that writes in a thread on a CPU, as it does on a GPU."""

import sys

from styledag.training.__main__ import main
from styledag.training.snapshots import saving

if __name__ == "__main__":
    saving.trains_meanwhile = lambda _: True
    sys.exit(main())
