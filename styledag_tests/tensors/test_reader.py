"""What safetensors, diffusers and transformers saved is read in slices, from one file or shards."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError
from styledag.tensors.reader import TensorSpec, open_tensors
from styledag_tests.peak_memory import bytes_above_start

TENSORS = {
    "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a.bias": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "scalar": torch.tensor(3.0, dtype=torch.float64),
    "empty": torch.zeros(0, 4, dtype=torch.float16),
    "ids": torch.arange(3),
}
INDEX = "diffusion_pytorch_model.safetensors.index.json"


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


@pytest.fixture
def sharded(unet: UNet2DConditionModel, tmp_path: Path) -> Path:
    unet.save_pretrained(tmp_path / "sharded", max_shard_size="40KB")
    assert (tmp_path / "sharded" / INDEX).is_file()
    return tmp_path / "sharded"


def test_a_file_is_read_whole_and_in_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(TENSORS, path, {"who": "peer"})
    with open_tensors(path) as reader:
        assert reader.metadata == {"who": "peer"}
        assert reader.specs["b.weight"] == TensorSpec("b.weight", torch.float32, (2, 3))
        assert reader.specs.keys() == TENSORS.keys()
        assert all(torch.equal(reader.read(name), each) for name, each in TENSORS.items())
        assert reader.read("b.weight", 1).tolist() == [[3.0, 4.0, 5.0]]
        assert reader.read("ids", 1, 2).tolist() == [1]


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_are_read_as_diffusers_wrote_them(
    unet: UNet2DConditionModel, tmp_path: Path, variant: str | None
) -> None:
    unet.save_pretrained(tmp_path, max_shard_size="40KB", variant=variant)
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    with open_tensors(tmp_path, variant) as reader:
        state_dict = unet.state_dict()
        assert reader.specs.keys() == state_dict.keys()
        assert all(torch.equal(reader.read(name), each) for name, each in state_dict.items())


def test_a_missing_shard_is_named(sharded: Path) -> None:
    gone = sorted(sharded.glob("*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(ModelError, match=rf"{gone.name} is missing, but .*index\.json names it"):
        open_tensors(sharded)


def test_a_shard_that_lacks_a_tensor_is_named(sharded: Path) -> None:
    shard = next(iter(sorted(sharded.glob("*.safetensors"))))
    tensors = load_file(shard)
    lost = min(tensors)
    del tensors[lost]
    save_file(tensors, shard)
    with pytest.raises(ModelError, match=rf"{shard.name} lacks tensor '{lost}'"):
        open_tensors(sharded)


@pytest.mark.parametrize("content", ["", "{}", '{"weight_map": []}', json.dumps([1])])
def test_a_damaged_index_is_named(sharded: Path, content: str) -> None:
    (sharded / INDEX).write_text(content)
    with pytest.raises(ModelError, match=r"index\.json is no index of shards"):
        open_tensors(sharded)


@pytest.mark.parametrize("kept_bytes", [0, 4, 30, -1])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, kept_bytes: int) -> None:
    path = tmp_path / "x.safetensors"
    save_file(TENSORS, path)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(ModelError, match=r"x\.safetensors is no whole safetensors file"):
        open_tensors(path)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"PK\x03\x04" + bytes(99), "pickle"),
        (b"GGUF" + bytes(99), "GGUF"),
    ],
)
def test_what_people_have_in_place_of_a_file_is_named(
    tmp_path: Path, content: bytes, remedy: str
) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=rf"no whole safetensors file .*{remedy}"):
        open_tensors(tmp_path / "x.safetensors").__enter__()


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"x\.safetensors cannot be read: No such file"):
        open_tensors(tmp_path / "x.safetensors")


def test_a_dtype_that_is_not_read_is_named(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2).to(torch.float8_e4m3fn)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="tensor 'w' cannot be read: its dtype is F8_E4M3"):
        open_tensors(tmp_path / "x.safetensors")
    with open_tensors(tmp_path / "x.safetensors", eight_bits=lambda name: name == "w") as reader:
        assert reader.read("w").dtype == reader.specs["w"].dtype == torch.float8_e4m3fn


def test_pieces_cover_all_rows_once() -> None:
    spec = TensorSpec("w", torch.float32, (7, 5))
    assert list(spec.pieces(10)) == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert list(spec.pieces(4)) == [(row, row + 1) for row in range(7)]
    assert list(TensorSpec("s", torch.float32, ()).pieces(10)) == [(0, 1)]
    assert list(TensorSpec("e", torch.float32, (0, 4)).pieces(10)) == []


def test_threads_read_while_the_mapping_is_renewed(tmp_path: Path) -> None:
    expected = torch.arange(4096).reshape(512, 8)
    save_file({"weight": expected}, tmp_path / "model.safetensors")
    path = tmp_path / "model.safetensors"
    with open_tensors(path, mapped_bytes=64) as reader, ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda row: reader.read("weight", row, row + 1), range(512)))
    assert torch.cat(read).equal(expected)


def test_memory_stays_flat(tmp_path: Path) -> None:
    save_file({f"w{at}": torch.zeros(1 << 22) for at in range(32)}, tmp_path / "x.safetensors")
    shutil.copyfile(tmp_path / "x.safetensors", tmp_path / "y.safetensors")
    taken = bytes_above_start(
        "import torch, safetensors.torch\nfrom styledag.tensors.reader import open_tensors",
        "for name in ('x', 'y'):\n"
        "    with open_tensors(root / f'{name}.safetensors') as tensors:\n"
        "        for spec in tensors.specs.values():\n"
        "            for start, stop in spec.pieces(1 << 20):\n"
        "                assert float(tensors.read(spec.name, start, stop).sum()) == 0",
        tmp_path,
    )
    assert taken < 160 << 20  # Of two files of 512 MiB.
