"""Packages that are missing, or do not work together, are named before anything runs."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.preflight import check_style, require_ready
from styledag_tests.graph.checking.conftest import CPU, edit
from styledag_tests.whole.small_project import STYLE


def test_a_captioner_whose_packages_are_missing_is_refused_at_the_start(
    catalogue: Catalogue, starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = catalogue.project.root
    shutil.copytree(starter / "blip", root / "captioner")
    (root / "captioner" / "video_preprocessor_config.json").write_text("{}")
    (root / "captioner" / "chat_template.jinja").write_text("{{ messages }}")
    config = root / "captioner" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_type": "qwen3_vl"}))
    edit(root, r"model: [^}]*/blip", "model: captioner")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(StyledagError, match=r"needs torchvision: pip install 'styledag\[chat\]'"):
        require_ready(catalogue, STYLE, (), CPU)
    (finding,) = [each for each in check_style(catalogue, STYLE, [], CPU) if not each.is_fine]
    assert finding.subject == f"{STYLE}: captioner's packages"


def test_a_torchvision_that_was_built_for_another_torch_is_named(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the one of CUDA beside the torch of a CPU; transformers' import of any model fails."""
    require_ready(catalogue, STYLE, (), CPU)  # When it was not installed yet, all was fine.
    package = tmp_path / "site" / "torchvision"
    package.mkdir(parents=True)
    fault = "operator torchvision::nms does not exist"
    (package / "__init__.py").write_text(f"raise RuntimeError({fault!r})")
    metadata = tmp_path / "site" / "torchvision-0.28.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    named = r"torchvision 0\.28\.0 does not work with torch \d.*nms does not exist.*pip uninstall"
    with pytest.raises(StyledagError, match=named):
        require_ready(catalogue, STYLE, (), CPU)
    findings = list(check_style(catalogue, STYLE, [], CPU))
    assert findings[-1].subject == "torchvision"
    assert not findings[-1].is_fine


@pytest.mark.parametrize("role", ["scorer", "classifier"])
def test_an_image_processor_whose_package_is_missing_is_named_at_the_start(
    catalogue: Catalogue, starter: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    """That of DINOv3 is there with torchvision alone."""
    root = catalogue.project.root
    name, config = {
        "scorer": ("clip", "processor_config.json"),
        "classifier": ("judge", "preprocessor_config.json"),
    }[role]
    path = shutil.copytree(starter / name, root / role) / config
    path.write_text(
        re.sub(r'"\w*ImageProcessor\w*"', '"DINOv3ViTImageProcessor"', path.read_text())
    )
    edit(root, f"model: [^,}}]*/{name}", f"model: {role}")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(
        StyledagError, match=f"{role} needs a package that is not installed.*Missing.*torchvision"
    ):
        require_ready(catalogue, STYLE, (), CPU)
