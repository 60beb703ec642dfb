"""Tests, which read nothing of who runs them: see ``_forget``."""

import atexit
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

_NAMES = {
    *("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
    *("HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "RANK", "LOCAL_RANK", "WORLD_SIZE"),
}
_PREFIXES = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "DIFFUSERS_", "DAGSTER_", "STYLEDAG_")
_LOOPBACK = "127.0.0.1,localhost"
_HUB = "styledag-tests-hub-"


def _forget(environment: MutableMapping[str, str]) -> None:
    """Remove what libraries and the product read from the environment of who runs the tests.

    Here, since libraries read it when they are imported. A proxy stays, for the tests that need the
    internet, but none stands before the loopback.
    """
    for name in list(environment):
        if name in _NAMES or name.startswith(_PREFIXES):
            del environment[name]
    environment["TERM"] = "xterm-256color"
    for name in ("no_proxy", "NO_PROXY"):
        environment[name] = ",".join(filter(None, (environment.get(name), _LOOPBACK)))
    # Who is logged in to the Hub has a token there.
    environment["HF_HOME"] = tempfile.mkdtemp(prefix=_HUB)
    atexit.register(shutil.rmtree, environment["HF_HOME"], ignore_errors=True)


# Not again in the processes that a test starts, which have what it gave them.
if not Path(os.environ.get("HF_HOME", "")).name.startswith(_HUB):
    _forget(os.environ)
