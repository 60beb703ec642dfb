"""A merge method is a file: here is one, and all of the product's are found the same way."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import safe_open
from safetensors.torch import load_file

from styledag.errors import ModelError
from styledag.merging.blend import FineTune, blend_models, blend_unet
from styledag.merging.method import MergeSettings, Parents, merge_method, settings_classes
from styledag.merging.methods.add_difference import AddDifference
from styledag.merging.methods.layer_swap import LayerSwap
from styledag.merging.methods.lerp import Lerp
from styledag.merging.methods.slerp import Slerp
from styledag.merging.methods.ties import Ties
from styledag.merging.settings import BlendSettings
from styledag.models.reference import ModelReference
from styledag.settings import setting
from styledag.tensors.layout import WEIGHTS_FILE
from styledag_tests.merging.test_blend import write_unet


@dataclass(frozen=True, kw_only=True)
class Toy(MergeSettings):
    """The base, scaled."""

    type: Literal["toy"] = setting("toy", help="A toy.")
    factor: float = setting(3.0, gt=1, help="What the base is multiplied by.")


@merge_method(Toy, several=True)
def merge_toy(parents: Parents, settings: Toy) -> torch.Tensor:
    """Return the scaled base."""
    return parents.base * settings.factor


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_unet(tmp_path_factory.mktemp("base"), 0)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_unet(tmp_path_factory.mktemp("tuned"), 1)


def test_every_file_of_methods_registers_one() -> None:
    from styledag.merging import methods

    files = {each.stem for each in Path(methods.__path__[0]).glob("[a-z]*.py")}
    registered = {get_args(get_type_hints(each)["type"])[0] for each in settings_classes()}
    assert registered == files | {"toy"}


def test_a_method_of_ones_own_blends_and_is_in_the_header(
    base: Path, tuned: Path, tmp_path: Path
) -> None:
    facts = blend_unet(
        base, tuned, 0.5, tmp_path, parents={"base": "b"}, base_share=0.2, method=Toy(factor=2.0)
    )
    blended, parent = load_file(tmp_path / WEIGHTS_FILE), load_file(base / WEIGHTS_FILE)
    assert all(torch.equal(blended[name], 2 * each) for name, each in parent.items())
    assert facts["method"] == "toy"
    assert facts["settings"] == {"factor": 2.0}
    with safe_open(tmp_path / WEIGHTS_FILE, "pt") as opened:
        assert opened.metadata() == {
            "format": "pt",
            "styledag.method": "toy",
            "styledag.settings": '{"factor":2.0}',
            "styledag.weight": "0.5",
            "styledag.amount": "0.4",
            "styledag.base": "b",
        }


def test_block_weights_reach_every_method(base: Path, tuned: Path, tmp_path: Path) -> None:
    blend_unet(
        base, tuned, 1.0, tmp_path, parents={}, base_share=0, method=Slerp(),
        block_weights={"mid": 0.0}, blocks={"mid": "mid_block"},
    )  # fmt: skip
    blended, ours, theirs = (load_file(at / WEIGHTS_FILE) for at in (tmp_path, base, tuned))
    for name, tensor in blended.items():
        assert torch.equal(tensor, (ours if name.startswith("mid_block.") else theirs)[name])


def test_two_fine_tunes_are_merged_with_both_in_the_header(
    base: Path, tuned: Path, tmp_path: Path
) -> None:
    fine_tunes = [
        FineTune(name="a.full", folder=tuned, weight=0.25),
        FineTune(
            name="b.full", folder=write_unet(tmp_path / "second", 2), weight=0.75, base_share=0.5
        ),
    ]
    merge = partial(
        blend_models, base, fine_tunes, parents={}, block_weights={}, blocks={}, others={}
    )
    facts = merge(tmp_path / "out", method=Ties(density=1.0))
    assert facts["weight"] == [0.25, 0.75]
    assert facts["amount"] == [0.25, 0.375]
    ours, *theirs = [load_file(at / WEIGHTS_FILE) for at in (base, *(e.folder for e in fine_tunes))]
    for name, tensor in load_file(tmp_path / "out" / WEIGHTS_FILE).items():
        changes = [each[name] - ours[name] for each in theirs]
        agree = changes[0].sign() == changes[1].sign()
        mean = ours[name] + 0.25 * changes[0] + 0.75 * changes[1]
        torch.testing.assert_close(tensor[agree], mean[agree])
        elected = torch.where((0.25 * changes[0] + 0.75 * changes[1]) * changes[0] > 0, *changes)
        torch.testing.assert_close(tensor[~agree], (ours[name] + elected)[~agree])
    with pytest.raises(ValueError, match="'slerp' merges one fine-tune, not 2"):
        merge(tmp_path / "again", method=Slerp())
    merge(tmp_path / "sum", method=Lerp())
    for name, tensor in load_file(tmp_path / "sum" / WEIGHTS_FILE).items():
        mean = 0.25 * theirs[0][name].double() + 0.75 * theirs[1][name].double()
        torch.testing.assert_close(tensor.double(), mean, rtol=1e-5, atol=1e-6)
    with safe_open(tmp_path / "sum" / WEIGHTS_FILE, framework="pt") as tensors:
        header = tensors.metadata()
    assert header["styledag.models"] == '["a.full","b.full"]'
    assert header["styledag.weight"] == "[0.25,0.75]"
    assert header["styledag.amount"] == "[0.25,0.375]"


def test_a_style_goes_onto_another_base(base: Path, tuned: Path, tmp_path: Path) -> None:
    onto = write_unet(tmp_path / "onto", 3)
    config = json.loads((onto / "config.json").read_text())
    (onto / "config.json").write_text(json.dumps(config | {"sample_size": 16}))
    method = AddDifference(onto=ModelReference(model="onto"))
    blend = partial(blend_unet, base, tuned, base_share=0, method=method, others={"onto": onto})
    blend(1.0, tmp_path / "out", parents={"base": "b", "tuned": "t", "onto": "o"})
    ours, theirs, other = (load_file(at / WEIGHTS_FILE) for at in (base, tuned, onto))
    for name, tensor in load_file(tmp_path / "out" / WEIGHTS_FILE).items():
        torch.testing.assert_close(tensor, other[name] + theirs[name] - ours[name])
    assert json.loads((tmp_path / "out" / "config.json").read_text())["sample_size"] == 16
    with safe_open(tmp_path / "out" / WEIGHTS_FILE, "pt") as opened:
        assert opened.metadata()["styledag.onto"] == "o"
    blend(0.0, tmp_path / "none", parents={})
    unchanged = load_file(tmp_path / "none" / WEIGHTS_FILE)
    assert all(torch.equal(unchanged[name], each) for name, each in other.items())


def test_a_blend_too_large_for_its_dtype_is_named(tmp_path: Path) -> None:
    folders = [write_unet(tmp_path / name, 0, torch.float16) for name in ("base", "tuned")]
    with pytest.raises(ModelError, match=r"of the blend is too large for torch\.float16"):
        blend_unet(
            *folders, 0.5, tmp_path / "out", parents={}, base_share=0, method=Toy(factor=1e9)
        )
    assert list((tmp_path / "out").iterdir()) == []


STYLE_FILE = TypeAdapter(BlendSettings)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{}", Lerp()),
        ('{"method": "slerp"}', Slerp()),
        ('{"method": {"type": "ties", "density": 0.3}}', Ties(density=0.3)),
        (
            '{"method": {"type": "layer_swap", "layers": ["*.attn2.*", "mid*"]}}',
            LayerSwap(layers=("*.attn2.*", "mid*")),
        ),
        (
            '{"method": {"type": "add_difference", "onto": {"model": "other"}}}',
            AddDifference(onto=ModelReference(model="other")),
        ),
    ],
)
def test_a_style_file_names_a_method_or_its_settings(written: str, expected: MergeSettings) -> None:
    assert STYLE_FILE.validate_json(written).method == expected


@pytest.mark.parametrize(
    "written",
    [
        '{"method": "layer_swap"}',
        '{"method": "tiess"}',
        '{"method": {"type": "layer_swap", "layers": "mid*"}}',
        '{"method": {"type": "layer_swap", "layers": [1]}}',
        '{"method": {"type": "ties", "density": 2}}',
        '{"method": {"type": "lerp", "density": 0.2}}',
    ],
)
def test_settings_that_a_method_does_not_have_are_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        STYLE_FILE.validate_json(written)


def test_the_identity_of_linear_blends_is_what_it_was() -> None:
    assert BlendSettings().identity(0.5) == {}
    by_block = BlendSettings(block_weights={"up.0": 0.5})
    assert by_block.identity(0.5) == {"block_weights": {"up.0": 0.5}}
    assert by_block.identity(0.0) == {}
    assert BlendSettings(method=Ties()).identity(0.5) == {
        "method": {"type": "ties", "density": 0.2}
    }


def test_the_settings_are_importable_without_torch() -> None:
    code = "import styledag.merging.settings, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
