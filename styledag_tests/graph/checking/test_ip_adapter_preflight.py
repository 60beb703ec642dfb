"""An IP-Adapter that scores name: looked at before anything runs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.preflight import check_style, require_ready
from styledag_tests.bases.families import tiny_families
from styledag_tests.bases.tiny_ip_adapter import IMAGE_ENCODER, WEIGHTS, Layout, write_ip_adapter
from styledag_tests.graph.checking.conftest import CPU, edit, line_of
from styledag_tests.whole.small_project import STYLE

FAMILIES = tiny_families()


def with_adapter(root: Path, layout: Layout = "plain") -> Path:
    """Name an IP-Adapter that fits in the style file, and return its folder."""
    edit(
        root,
        "  loss_images: 3",
        f"  loss_images: 3\n  ip_adapter: {{model: adapter, weights: {WEIGHTS}, "
        f"image_encoder: {IMAGE_ENCODER}}}",
    )
    return write_ip_adapter(root / "adapter", root / "base" / "unet", layout)


@pytest.mark.parametrize("layout", ["plain", "plus"])
def test_an_ip_adapter_that_fits_is_found(catalogue: Catalogue, layout: Layout) -> None:
    with_adapter(catalogue.project.root, layout)
    findings = {each.subject: each for each in check_style(catalogue, STYLE, [], CPU)}
    found = findings[f"{STYLE}: IP-Adapter"]
    assert found.is_fine, found.detail
    assert found.detail == f"adapter/{WEIGHTS}; its weights are whole and finite"


def widened(adapter: Path) -> None:
    tensors = load_file(adapter / WEIGHTS)
    save_file(
        {name: torch.cat([each, each], dim=-1) for name, each in tensors.items()}, adapter / WEIGHTS
    )


def damaged(adapter: Path) -> None:
    (adapter / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes()[:-1])


def other_family(adapter: Path) -> None:
    base = adapter.parent / "base"
    shutil.rmtree(base)
    FAMILIES["sana"].write(base, base)


BAD_ADAPTERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda adapter: (adapter / WEIGHTS).unlink(), f"has no file '{WEIGHTS}'"),
    "no image encoder": (
        lambda adapter: shutil.rmtree(adapter / IMAGE_ENCODER),
        f"has no folder '{IMAGE_ENCODER}'",
    ),
    "damaged": (damaged, f"{WEIGHTS} is no whole safetensors file"),
    "another width": (widened, "made for text states of width"),
    "another family": (other_family, "is a Sana, for which styledag loads no IP-Adapter"),
}


@pytest.mark.parametrize("what", BAD_ADAPTERS)
def test_an_ip_adapter_that_does_not_fit_is_refused_with_its_line(
    catalogue: Catalogue, what: str
) -> None:
    root = catalogue.project.root
    adapter = with_adapter(root)
    spoil, message = BAD_ADAPTERS[what]
    spoil(adapter)
    line = line_of(root, "ip_adapter:")
    with pytest.raises(
        StyledagError, match=rf"small\.yaml:{line}: scores\.ip_adapter does not fit: .*{message}"
    ):
        require_ready(catalogue, STYLE, [], CPU)
