"""Loading the code location and the command line is quick, because it imports no torch."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
HEAVY = {"torch", "diffusers", "transformers", "datasets", "scipy", "pandas"}
MOST_CPU_S = 2.5


@pytest.mark.parametrize("module", ["styledag.definitions", "styledag.cli.main"])
def test_loading_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert loaded.stdout.strip() == ""
    # Seconds of CPU and not of the clock, which a busy machine stretches.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < MOST_CPU_S


def test_only_the_graph_knows_dagster() -> None:
    packages = ("collect", "images", "captions", "dataset", "diffusion", "merging", "sampling")
    packages += ("scoring", "report", "graph", "models", "store", "style", "demo")
    listing = "import pkgutil, importlib, sys\n"
    for package in packages:
        listing += f"""
import styledag.{package} as package
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
assert "dagster" not in sys.modules, package
"""
    subprocess.run([sys.executable, "-c", listing], cwd=REPOSITORY, check=True)
