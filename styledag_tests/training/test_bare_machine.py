import subprocess
import sys

from styledag_tests.training.training import ABSENT

IMPORT_ALL = """
import importlib, pkgutil, sys
for name in {absent}:
    sys.modules[name] = None
import styledag.training
for module in pkgutil.walk_packages(styledag.training.__path__, "styledag.training."):
    importlib.import_module(module.name)
"""

IMPORT_WITHOUT_TORCH = """
import importlib, sys
for name in ("torch", "diffusers", "transformers", "numpy", "PIL", *{absent}):
    sys.modules[name] = None
for name in ("recipe", "records", "encoding.encode", "encoding.dataset", "train"):
    importlib.import_module("styledag.training." + name)
"""


def run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program.format(absent=ABSENT)], check=True)


def test_all_of_it_imports_where_only_the_training_libraries_are() -> None:
    run(IMPORT_ALL)


def test_public_functions_import_without_torch() -> None:
    run(IMPORT_WITHOUT_TORCH)
