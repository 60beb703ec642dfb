"""Whether the packages are there, and work, that a style's recipes and models are loaded with."""

from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec

from styledag.captions.chat import EXTRA
from styledag.captions.find import missing_packages_of
from styledag.errors import DeviceError, StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.finding import Finding, checked
from styledag.models.reference import ModelReference
from styledag.training.recipe import Recipe

TORCHVISION = "torchvision"


def check_packages(name: str, recipes: Sequence[Recipe]) -> Iterator[Finding]:
    """Yield the packages that recipes need and that are not installed."""
    needed = {
        "peft": ("lora", "lora", any(each.lora for each in recipes)),
        "bitsandbytes": (
            "adam8bit",
            "optimizer adamw_8bit or lora.base_bits",
            any(each.needs_bitsandbytes for each in recipes),
        ),
    }
    loggers = dict.fromkeys(name for each in recipes for name in each.loggers)
    for logger in loggers:
        needed[logger] = (logger, f"logger {logger}", True)
    for package, (extra, setting, is_needed) in needed.items():
        if is_needed and find_spec(package) is None:
            detail = f"{name}: {setting} needs {package}: pip install 'styledag[{extra}]'"
            yield Finding(f"{name}: {package}", False, detail)
        elif package in loggers:
            from styledag.training.loggers import check_login

            yield checked(f"{name}: {package}", partial(check_login, package))


def check_captioner_packages(
    catalogue: Catalogue, name: str, captioner: ModelReference | None
) -> Iterator[Finding]:
    """Yield the packages that the captioner is loaded with and that are not installed."""
    if captioner is None:
        return
    try:
        missing = missing_packages_of(catalogue.configurations(captioner))
    except StyledagError:
        return  # the finding of the captioner itself reports it
    if missing:
        detail = f"{captioner.model} needs {' and '.join(missing)}: pip install 'styledag[{EXTRA}]'"
        yield Finding(f"{name}: captioner's packages", False, detail)


def check_torchvision() -> Iterator[Finding]:
    """Yield whether torchvision works, if it is installed.

    transformers imports it with almost any model where it is there, and diffusers so too. One that
    was built for another torch, also for its build without CUDA, fails at its import.
    """
    if find_spec(TORCHVISION) is not None:
        yield checked(TORCHVISION, _working_torchvision)


def _working_torchvision() -> str:
    try:
        import torchvision
    except (ImportError, RuntimeError, OSError) as exc:
        raise DeviceError(
            f"{TORCHVISION} {version(TORCHVISION)} does not work with torch {version('torch')} "
            f"({exc}), and transformers imports it with any model: install both together, from "
            "one index, or run pip uninstall torchvision where no captioner needs it"
        ) from exc
    return str(torchvision.__version__)
