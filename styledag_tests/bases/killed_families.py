"""A program of the tests: train bases in processes that kill themselves."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DIES_AFTER = 5


class Killing:
    """Kills its process after :data:`DIES_AFTER` steps of training."""

    @contextmanager
    def task(self, description: str, total: int | None, *, done: int = 0) -> Iterator[Any]:
        del description, total
        steps = done

        def advance(done: int = 1, /, **_: float) -> None:
            nonlocal steps
            steps += done
            if steps == DIES_AFTER:
                os.kill(os.getpid(), signal.SIGKILL)

        yield advance


def main() -> None:
    """Train once for each order, and print how its process ended."""
    from styledag.training.encoding.dataset import EncodedDataset
    from styledag_tests.bases.test_families import train
    from styledag_tests.bases.test_families_trained import RESUMED

    for encoded, base, scratch in json.loads(sys.argv[1]):
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
            sys.stdout.flush()
            continue
        dataset = EncodedDataset.open(Path(encoded))
        train(dataset, Path(base), Path(scratch), progress=Killing(), **RESUMED)
        os._exit(0)


if __name__ == "__main__":
    main()
