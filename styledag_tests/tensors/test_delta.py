import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError
from styledag.tensors.delta import DELTA_FILE, restore_delta, write_delta
from styledag.tensors.layout import WEIGHTS_FILE
from styledag.tensors.reader import open_tensors
from styledag_tests.bases.loading import load_unet, save_unet
from styledag_tests.peak_memory import bytes_above_start

HALVES = (torch.float16, torch.bfloat16)


def moved(
    unet: UNet2DConditionModel, *, only: str = "", by: float = 1e-3
) -> dict[str, torch.Tensor]:
    """Return weights as a short training leaves them: each a little beside where it began."""
    generator = torch.Generator().manual_seed(0)
    return dict(unet.state_dict()) | {
        name: each.detach()
        + by * each.detach().std() * torch.randn(each.shape, generator=generator)
        for name, each in unet.named_parameters()
        if only in name
    }


@pytest.fixture
def base_unet(base: Path) -> Path:
    return base / "unet"


@pytest.fixture
def make_tuned(base: Path, tmp_path: Path) -> Callable[..., Path]:
    def make(dtype: torch.dtype = torch.float16, *, name: str = "tuned", only: str = "") -> Path:
        unet = load_unet(base)
        save_unet(unet, moved(unet, only=only), tmp_path / name, dtype=dtype)
        return tmp_path / name

    return make


@pytest.mark.parametrize("dtype", HALVES)
def test_the_same_file_comes_back_byte_for_byte(
    base_unet: Path, make_tuned: Callable[..., Path], tmp_path: Path, dtype: torch.dtype
) -> None:
    tuned = make_tuned(dtype)
    size = write_delta(tuned, base_unet, tmp_path / "delta")
    restore_delta(tmp_path / "delta", base_unet, tmp_path / "restored")
    for name in (WEIGHTS_FILE, "config.json"):
        assert (tmp_path / "restored" / name).read_bytes() == (tuned / name).read_bytes()
    assert size.full == (tuned / WEIGHTS_FILE).stat().st_size
    assert size.stored == (tmp_path / "delta" / DELTA_FILE).stat().st_size
    assert {each.name for each in (tmp_path / "delta").iterdir()} == {DELTA_FILE, "config.json"}


def test_every_pattern_of_sixteen_bits_survives(base_unet: Path, tmp_path: Path) -> None:
    patterns = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16)
    shuffled = patterns[torch.randperm(len(patterns), generator=torch.Generator().manual_seed(0))]
    for name, numbers in (("tuned", patterns), ("base", shuffled)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        tensors = {"weight": numbers.view(torch.bfloat16), "none": torch.empty(0).bfloat16()}
        save_file(tensors, tmp_path / name / WEIGHTS_FILE)
    write_delta(tmp_path / "tuned", tmp_path / "base", tmp_path / "delta")
    restore_delta(tmp_path / "delta", tmp_path / "base", tmp_path / "restored")
    restored = load_file(tmp_path / "restored" / WEIGHTS_FILE)["weight"]
    assert torch.equal(restored.view(torch.int16), patterns)


def test_a_little_training_takes_a_fraction_of_the_bytes(starter: Path, tmp_path: Path) -> None:
    base = starter / "stable-diffusion"
    unet = load_unet(base)
    save_unet(unet, moved(unet), tmp_path / "tuned")
    size = write_delta(tmp_path / "tuned", base / "unet", tmp_path / "delta")
    assert size.stored < size.full / 2


def test_what_was_not_trained_takes_almost_nothing(starter: Path, tmp_path: Path) -> None:
    base = starter / "stable-diffusion"
    unet = load_unet(base)
    save_unet(unet, moved(unet, only="attn2"), tmp_path / "tuned")
    write_delta(tmp_path / "tuned", base / "unet", tmp_path / "delta")
    with open_tensors(tmp_path / "delta" / DELTA_FILE) as differences:
        still = {
            name: spec.nbytes for name, spec in differences.specs.items() if "attn2" not in name
        }
    assert max(still.values()) < 100
    assert "mid_block.resnets.0.conv1.weight" in still


def test_the_number_format_of_the_base_does_not_matter(
    base: Path, base_unet: Path, make_tuned: Callable[..., Path], tmp_path: Path
) -> None:
    save_unet(load_unet(base), load_unet(base).state_dict(), tmp_path / "base-in-half")
    tuned = make_tuned()
    write_delta(tuned, base_unet, tmp_path / "delta")
    restore_delta(tmp_path / "delta", tmp_path / "base-in-half", tmp_path / "restored")
    restored = (tmp_path / "restored" / WEIGHTS_FILE).read_bytes()
    assert restored == (tuned / WEIGHTS_FILE).read_bytes()


def test_a_base_in_shards_is_the_same_base(
    base: Path, base_unet: Path, make_tuned: Callable[..., Path], tmp_path: Path
) -> None:
    load_unet(base).save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    tuned = make_tuned()
    write_delta(tuned, tmp_path / "shards", tmp_path / "delta")
    write_delta(tuned, base_unet, tmp_path / "from-one-file")
    deltas = [(tmp_path / name / DELTA_FILE).read_bytes() for name in ("delta", "from-one-file")]
    assert deltas[0] == deltas[1]
    restore_delta(tmp_path / "delta", tmp_path / "shards", tmp_path / "restored")
    restored = (tmp_path / "restored" / WEIGHTS_FILE).read_bytes()
    assert restored == (tuned / WEIGHTS_FILE).read_bytes()


def test_another_base_is_refused(
    base: Path, base_unet: Path, make_tuned: Callable[..., Path], tmp_path: Path
) -> None:
    write_delta(make_tuned(), base_unet, tmp_path / "delta")
    other = make_tuned(name="other")
    with pytest.raises(ModelError, match=r"another base than .*other.*: its elements"):
        restore_delta(tmp_path / "delta", other, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
    assert not (tmp_path / "restored.partial").exists()


def test_a_base_that_lacks_a_tensor_or_has_another_shape_is_named(
    base_unet: Path, make_tuned: Callable[..., Path], tmp_path: Path
) -> None:
    tuned = make_tuned()
    write_delta(tuned, base_unet, tmp_path / "delta")
    tensors = load_file(base_unet / WEIGHTS_FILE)
    bias = tensors.pop("conv_in.bias")
    (tmp_path / "odd").mkdir()
    save_file(tensors, tmp_path / "odd" / WEIGHTS_FILE)
    with pytest.raises(ModelError, match=r"'conv_in\.bias' is missing in .*odd"):
        restore_delta(tmp_path / "delta", tmp_path / "odd", tmp_path / "restored")
    save_file(tensors | {"conv_in.bias": bias[:3].clone()}, tmp_path / "odd" / WEIGHTS_FILE)
    with pytest.raises(ModelError, match=r"'conv_in\.bias' is \[3\] in .*odd"):
        write_delta(tuned, tmp_path / "odd", tmp_path / "again")


def test_a_unet_in_float32_is_refused(base: Path, base_unet: Path, tmp_path: Path) -> None:
    save_unet(
        load_unet(base), load_unet(base).state_dict(), tmp_path / "float32", dtype=torch.float32
    )
    with pytest.raises(ModelError, match=r"is torch\.float32, but a difference is taken of"):
        write_delta(tmp_path / "float32", base_unet, tmp_path / "delta")


def test_damage_is_named(base_unet: Path, make_tuned: Callable[..., Path], tmp_path: Path) -> None:
    write_delta(make_tuned(), base_unet, tmp_path / "delta")
    whole = (tmp_path / "delta" / DELTA_FILE).read_bytes()
    frames = load_file(tmp_path / "delta" / DELTA_FILE)
    with open_tensors(tmp_path / "delta" / DELTA_FILE) as reader:
        metadata = dict(reader.metadata)

    def refused(name: str, message: str, **tensors: torch.Tensor) -> None:
        folder = tmp_path / name
        shutil.copytree(tmp_path / "delta", folder)
        save_file(tensors, folder / DELTA_FILE, metadata=metadata)
        with pytest.raises(ModelError, match=message):
            restore_delta(folder, base_unet, tmp_path / "restored")
        assert not (tmp_path / "restored").exists()

    flipped = frames["conv_in.weight"].clone()
    flipped[len(flipped) // 2] ^= 255
    refused(
        "flipped",
        r"'conv_in\.weight' is damaged",
        **(frames | {"conv_in.weight": flipped}),
    )
    conv1, conv2 = (f"down_blocks.0.resnets.0.conv{number}.weight" for number in (1, 2))
    refused(
        "exchanged",
        r"delta\.safetensors is damaged: what it restores has",
        **(frames | {conv1: frames[conv2].clone()}),
    )
    refused(
        "short",
        r"'conv_in\.bias' is damaged \(it holds 1152 bytes for 16 numbers",
        **(frames | {"conv_in.bias": frames["conv_in.weight"].clone()}),
    )
    lacking = {name: frame for name, frame in frames.items() if name != "conv_out.bias"}
    refused("lacking", r"lacks tensor 'conv_out\.bias'", **lacking)
    (tmp_path / "delta" / DELTA_FILE).write_bytes(whole[:-1])
    with pytest.raises(ModelError, match="is no whole safetensors file"):
        restore_delta(tmp_path / "delta", base_unet, tmp_path / "restored")


def test_a_later_format_is_not_guessed_at(
    base_unet: Path, make_tuned: Callable[..., Path], tmp_path: Path
) -> None:
    write_delta(make_tuned(), base_unet, tmp_path / "delta")
    path = tmp_path / "delta" / DELTA_FILE
    path.write_bytes(path.read_bytes().replace(b"styledag.delta.1", b"styledag.delta.2"))
    with pytest.raises(ModelError, match=r"format 'styledag\.delta\.2', but"):
        restore_delta(tmp_path / "delta", base_unet, tmp_path / "restored")


def test_memory_is_that_of_one_tensor(tmp_path: Path) -> None:
    for name, by in (("base", 0.0), ("tuned", 1e-3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({}))
        generator = torch.Generator().manual_seed(0)
        tensors = {
            f"weight.{at}": (torch.randn(1 << 20, generator=generator) * (1 + by)).half()
            for at in range(192)
        }
        save_file(tensors, tmp_path / name / WEIGHTS_FILE)
    taken = bytes_above_start(
        "import torch, zstandard\nfrom styledag.tensors.delta import restore_delta, write_delta",
        "write_delta(root / 'tuned', root / 'base', root / 'delta')\n"
        "restore_delta(root / 'delta', root / 'base', root / 'restored')",
        tmp_path,
    )
    assert taken < 144 << 20  # Of two files of 384 MiB.
