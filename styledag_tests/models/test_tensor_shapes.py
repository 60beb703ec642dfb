"""Shapes come from a file's header, in a folder or on the Hub."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from styledag.errors import ModelError
from styledag.models.reference import ModelReference
from styledag.models.tensor_shapes import tensor_shapes
from styledag_tests.models.hub import REPOSITORY, running_hub

FILE = "models/adapter.safetensors"
CONTENT = save({"a": torch.zeros(2, 3), "b.c": torch.zeros(5, dtype=torch.bfloat16)})
SHAPES = {"a": (2, 3), "b.c": (5,)}
ASK = f"""
import json, sys
from pathlib import Path
from styledag.errors import ModelError
from styledag.models.reference import ModelReference
from styledag.models.tensor_shapes import tensor_shapes

reference = ModelReference(model={REPOSITORY!r}, revision="main")
try:
    print(json.dumps(tensor_shapes(reference, {FILE!r}, project=Path(sys.argv[1]))))
except ModelError as exc:
    sys.exit(f"ModelError: {{exc}}")
"""


def ask(root: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Ask the Hub at this address in a process of its own."""
    settings = {"HF_ENDPOINT": url, "HF_HOME": str(root / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [sys.executable, "-c", ASK, str(root)],
        capture_output=True, text=True, check=False, env=os.environ | settings,
    )  # fmt: skip


def test_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "adapter" / "models").mkdir(parents=True)
    (tmp_path / "adapter" / FILE).write_bytes(CONTENT)
    assert tensor_shapes(ModelReference(model="adapter"), FILE, project=tmp_path) == SHAPES


@pytest.mark.parametrize("content", [CONTENT[:-1], b"", None])
def test_what_is_no_whole_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "adapter" / "models").mkdir(parents=True)
    if content is not None:
        (tmp_path / "adapter" / FILE).write_bytes(content)
    with pytest.raises(ModelError, match=r"adapter\.safetensors cannot be read"):
        tensor_shapes(ModelReference(model="adapter"), FILE, project=tmp_path)


def test_of_the_hub_nothing_is_kept(tmp_path: Path) -> None:
    with running_hub({FILE: CONTENT}) as hub:
        run = ask(tmp_path, hub.url)
    assert run.returncode == 0, run.stderr
    assert {name: tuple(each) for name, each in json.loads(run.stdout).items()} == SHAPES
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({FILE: b"\xff" * 64}, "ModelError: .*is no safetensors file"),
        ({"other": b""}, "ModelError: .*cannot be had from the Hugging Face Hub"),
    ],
)
def test_what_the_hub_does_not_have_is_refused(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    with running_hub(files) as hub:
        run = ask(tmp_path, hub.url)
    assert run.returncode == 1
    assert re.search(message, run.stderr), run.stderr
