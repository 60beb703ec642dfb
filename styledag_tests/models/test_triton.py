"""Whether Triton can build kernels: asked of the machine, before torch does."""

import subprocess
import sys
import sysconfig
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from styledag.models import triton
from styledag.models.triton import why_no_kernels


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a GPU, Triton, gcc and Python's headers; the folder has gcc."""
    folder, include = tmp_path / "bin", tmp_path / "include"
    folder.mkdir()
    include.mkdir()
    (include / "Python.h").touch()
    (folder / "gcc").touch(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(triton, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(include)})
    on(monkeypatch, "H100", 9)
    return folder


def on(monkeypatch: pytest.MonkeyPatch, name: str, major: int) -> None:
    properties = SimpleNamespace(name=name, major=major, minor=1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: properties)


@pytest.mark.usefixtures("path")
def test_it_can_where_a_compiler_and_headers_are() -> None:
    assert why_no_kernels() == ""


def test_what_is_missing_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("CC", "icc")
        assert why_no_kernels() == "there is no C compiler (icc): install gcc"
    with monkeypatch.context() as patch:
        on(patch, "GTX 1080", 6)
        assert why_no_kernels() == "GTX 1080 has compute capability 6.1, and Triton needs 7.0"
    with monkeypatch.context() as patch:
        patch.setattr(triton, "find_spec", lambda _name: None)
        assert why_no_kernels() == "the package triton is not installed"
    (path / "gcc").rename(path / "clang")
    assert why_no_kernels() == ""
    (path.parent / "include" / "Python.h").unlink()
    assert why_no_kernels().startswith("Python's headers are missing (")
    (path / "clang").unlink()
    assert why_no_kernels() == "there is no C compiler (gcc or clang): install gcc"


def test_torch_s_own_kernels_are_used_from_then_on() -> None:
    """Where no CUDA is, one is registered for the CPU as torch registers its own for CUDA."""
    pytest.importorskip("torch._native")
    code = """
import torch
from torch._native import registry
from styledag.models.triton import use_torch_kernels

def no_compiler(*_given):
    raise RuntimeError("Failed to find C compiler")

registry.register_op_override("triton", "aten", "bmm", "CPU", lambda *_given: True, no_compiler)
registry._register_all_overrides()
product = lambda: torch.bmm(torch.ones(1, 2, 1), torch.ones(1, 1, 3)).sum().item()
try:
    product()
except RuntimeError as exc:
    print(exc)
use_torch_kernels()
use_torch_kernels()
print(product())
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=500
    )
    assert ran.stdout.splitlines() == ["Failed to find C compiler", "6.0"]
