import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError, StorageError
from styledag.merging.blend import blend_amount, blend_unet
from styledag.merging.settings import BlendSettings
from styledag.settings import canonical_json
from styledag.store.digest import folder_digest
from styledag.tensors.layout import CONFIG_FILE, WEIGHTS_FILE
from styledag_tests.bases.tiny_parts import tiny_autoencoder
from styledag_tests.peak_memory import bytes_above_start

BLOCKS = {"up.0": "up_blocks.0", "mid": "mid_block"}
PARENTS = {"base": "b" * 64, "tuned": "t" * 64}
LINEAR_BLEND = "03801c194c2bf8999f398aecbd0780443d50c1abe937621f8fb1d0fed2850607"


def write_unet(folder: Path, seed: int, dtype: torch.dtype = torch.float32) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=4,
            cross_attention_dim=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )
    unet.to(dtype).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_unet(tmp_path_factory.mktemp("base"), 0)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_unet(tmp_path_factory.mktemp("tuned"), 1)


def edited(folder: Path, copy: Path, tensors: dict[str, torch.Tensor]) -> Path:
    copy.mkdir()
    (copy / CONFIG_FILE).write_text((folder / CONFIG_FILE).read_text())
    save_file(tensors, copy / WEIGHTS_FILE)
    return copy


def test_weight_one_half_is_the_mean_and_diffusers_loads_it(
    base: Path, tuned: Path, tmp_path: Path
) -> None:
    facts = blend_unet(base, tuned, 0.5, tmp_path / "out", parents=PARENTS, base_share=0.2)
    unet = UNet2DConditionModel.from_pretrained(tmp_path / "out")
    ours, theirs = load_file(base / WEIGHTS_FILE), load_file(tuned / WEIGHTS_FILE)
    for name, tensor in unet.state_dict().items():
        torch.testing.assert_close(tensor, (ours[name] + theirs[name]) / 2)
    assert facts["amount"] == pytest.approx(0.4)
    assert facts["parameters"] == sum(tensor.numel() for tensor in ours.values())
    json.loads(canonical_json(facts))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_ends_give_back_the_parents_bit_for_bit(
    base: Path, tuned: Path, tmp_path: Path, weight: float
) -> None:
    blend_unet(base, tuned, weight, tmp_path, parents=PARENTS, base_share=0)
    blended, parent = (
        load_file(tmp_path / WEIGHTS_FILE),
        load_file((base, tuned)[int(weight)] / WEIGHTS_FILE),
    )
    assert all(torch.equal(blended[name], tensor) for name, tensor in parent.items())


def test_each_tensor_takes_the_wider_format(base: Path, tmp_path: Path) -> None:
    half = write_unet(tmp_path / "half", 1, torch.float16)
    facts = blend_unet(base, half, 1.0, tmp_path / "out", parents=PARENTS, base_share=0)
    assert facts["dtypes"] == ["float32"]
    blended, parent = load_file(tmp_path / "out" / WEIGHTS_FILE), load_file(half / WEIGHTS_FILE)
    assert all(torch.equal(blended[name], tensor.float()) for name, tensor in parent.items())
    facts = blend_unet(half, half, 0.3, tmp_path / "halves", parents=PARENTS, base_share=0)
    assert facts["dtypes"] == ["float16"]


def test_a_base_in_shards_gives_the_same_bytes(base: Path, tuned: Path, tmp_path: Path) -> None:
    UNet2DConditionModel.from_pretrained(base).save_pretrained(
        tmp_path / "shards", max_shard_size="40KB"
    )
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    for name, folder in (("whole", base), ("sharded", tmp_path / "shards")):
        blend_unet(folder, tuned, 0.3, tmp_path / name, parents=PARENTS, base_share=0)
    assert folder_digest(tmp_path / "sharded") == folder_digest(tmp_path / "whole")


def test_the_bytes_of_a_linear_blend_are_what_they_always_were(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in ("base", "tuned"):
        (tmp_path / name).mkdir()
        (tmp_path / name / CONFIG_FILE).write_text("{}")
        tensors = {key: torch.rand(2, 3, generator=generator).half() for key in ("b", "a")}
        save_file(tensors, tmp_path / name / WEIGHTS_FILE)
    blend_unet(
        tmp_path / "base", tmp_path / "tuned", 0.25, tmp_path, parents=PARENTS, base_share=0.25
    )
    content = (tmp_path / WEIGHTS_FILE).read_bytes()
    assert hashlib.sha256(content).hexdigest() == LINEAR_BLEND


def test_the_header_tells_where_the_blend_comes_from(
    base: Path, tuned: Path, tmp_path: Path
) -> None:
    blend_unet(base, tuned, 0.75, tmp_path, parents=PARENTS, base_share=0.2)
    with safe_open(tmp_path / WEIGHTS_FILE, "pt") as opened:
        metadata = opened.metadata()
    assert metadata == {
        "format": "pt",
        "styledag.base": "b" * 64,
        "styledag.tuned": "t" * 64,
        "styledag.method": "lerp",
        "styledag.weight": "0.75",
        "styledag.amount": repr(0.75 * 0.8),
    }


def test_a_block_takes_its_share_of_the_weight(base: Path, tuned: Path, tmp_path: Path) -> None:
    facts = blend_unet(
        base, tuned, 1.0, tmp_path, parents=PARENTS, base_share=0,
        block_weights={"up.0": 0.5, "mid": 0.0}, blocks=BLOCKS,
    )  # fmt: skip
    blended, ours, theirs = (load_file(at / WEIGHTS_FILE) for at in (tmp_path, base, tuned))
    for name, tensor in blended.items():
        if name.startswith("up_blocks.0."):
            torch.testing.assert_close(tensor, (ours[name] + theirs[name]) / 2)
        else:
            assert torch.equal(tensor, (ours if name.startswith("mid_") else theirs)[name])
    assert facts["block_weights"] == {"up.0": 0.5, "mid": 0.0}
    with safe_open(tmp_path / WEIGHTS_FILE, "pt") as opened:
        assert opened.metadata()["styledag.block_weights"] == '{"mid":0.0,"up.0":0.5}'


def test_a_block_that_is_not_there_is_named(base: Path, tuned: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"names block .up\.2., which the base does not have: .* up\.0"
    ):
        blend_unet(
            base,
            tuned,
            1.0,
            tmp_path,
            parents=PARENTS,
            base_share=0,
            block_weights={"up.2": 0.5},
            blocks=BLOCKS,
        )


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"up.0": 1.5}, r"block_weights\['up.0'\] is 1.5, but must be 0 to 1"),
    ],
)
def test_shares_that_make_no_sense_are_refused(shares: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BlendSettings(block_weights=shares)  # type: ignore[arg-type]


def test_content_does_not_follow_from_where_it_lies(
    base: Path, tuned: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        blend_unet(base, tuned, 0.5, tmp_path / name, parents=PARENTS, base_share=0)
    assert folder_digest(tmp_path / "one") == folder_digest(tmp_path / "two")
    assert "_name_or_path" not in json.loads((tmp_path / "one" / CONFIG_FILE).read_text())


def test_a_tensor_in_one_parent_only_is_named(base: Path, tmp_path: Path) -> None:
    tensors = load_file(base / WEIGHTS_FILE)
    del tensors["conv_in.bias"]
    tuned = edited(base, tmp_path / "tuned", tensors)
    with pytest.raises(ModelError, match=r"'conv_in\.bias' is only in"):
        blend_unet(base, tuned, 0.5, tmp_path / "out", parents=PARENTS, base_share=0)


def test_another_shape_is_named(base: Path, tmp_path: Path) -> None:
    tensors = load_file(base / WEIGHTS_FILE)
    tensors["conv_in.bias"] = tensors["conv_in.bias"][:4].clone()
    tuned = edited(base, tmp_path / "tuned", tensors)
    with pytest.raises(ModelError, match=r"'conv_in\.bias' is \[8\].*but \[4\]"):
        blend_unet(base, tuned, 0.5, tmp_path / "out", parents=PARENTS, base_share=0)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("in_base", [True, False], ids=["base", "fine-tune"])
def test_nan_is_named_and_leaves_no_weights(
    base: Path, tmp_path: Path, bad: float, weight: float, in_base: bool
) -> None:
    tensors = load_file(base / WEIGHTS_FILE)
    tensors["conv_in.bias"][3] = bad
    broken = edited(base, tmp_path / "broken", tensors)
    parents = (broken, base) if in_base else (base, broken)
    with pytest.raises(ModelError, match=r"broken.*: tensor 'conv_in\.bias' holds NaN"):
        blend_unet(*parents, weight, tmp_path / "out", parents=PARENTS, base_share=0)
    assert list((tmp_path / "out").iterdir()) == []


def test_infinities_that_cancel_are_named(base: Path, tmp_path: Path) -> None:
    tensors = load_file(base / WEIGHTS_FILE)
    tensors["conv_in.bias"][3] = float("inf")
    broken = edited(base, tmp_path / "broken", tensors)
    with pytest.raises(ModelError, match=r"'conv_in\.bias' holds NaN"):
        blend_unet(broken, broken, 0.5, tmp_path / "out", parents=PARENTS, base_share=0)


def test_another_configuration_is_named(base: Path, tuned: Path, tmp_path: Path) -> None:
    other = edited(tuned, tmp_path / "other", load_file(tuned / WEIGHTS_FILE))
    config = json.loads((other / CONFIG_FILE).read_text())
    (other / CONFIG_FILE).write_text(json.dumps(config | {"attention_head_dim": 2}))
    with pytest.raises(ModelError, match=r"'attention_head_dim' is 4 in .*, but 2 in"):
        blend_unet(base, other, 0.5, tmp_path / "out", parents=PARENTS, base_share=0)


@pytest.mark.parametrize(
    "same",
    [
        {"sample_size": 96},
        {"upcast_attention": None},
        {"attention_head_dim": [4, 4]},
        {"cross_attention_dim": [8, 8]},
        {"_diffusers_version": "0.6.0"},
    ],
)
def test_a_configuration_that_says_the_same_otherwise_is_blended(
    base: Path, tuned: Path, tmp_path: Path, same: dict[str, object]
) -> None:
    shutil.copytree(tuned, tmp_path / "tuned")
    path = tmp_path / "tuned" / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | same))
    blend_unet(base, tmp_path / "tuned", 0.5, tmp_path / "out", parents=PARENTS, base_share=0)
    config = json.loads((base / CONFIG_FILE).read_text())
    assert json.loads((tmp_path / "out" / CONFIG_FILE).read_text()) == config


@pytest.mark.parametrize("old", ["base", "tuned"])
def test_an_autoencoder_of_either_naming_is_blended_and_diffusers_loads_it(
    tmp_path: Path, old: str
) -> None:
    for name in ("base", "tuned"):
        with torch.random.fork_rng():
            torch.manual_seed(len(name))
            tiny_autoencoder(latent_channels=4, scaling_factor=0.2).save_pretrained(tmp_path / name)
    expected = {
        name: (each + load_file(tmp_path / "tuned" / WEIGHTS_FILE)[name]) / 2
        for name, each in load_file(tmp_path / "base" / WEIGHTS_FILE).items()
    }
    file = tmp_path / old / WEIGHTS_FILE
    renamed = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old_names = {name: name for name in expected}
    for new, former in renamed.items():
        old_names = {n: each.replace(f".{new}.", f".{former}.") for n, each in old_names.items()}
    save_file({old_names[name]: each for name, each in load_file(file).items()}, file)
    folders = tmp_path / "base", tmp_path / "tuned"
    blend_unet(*folders, 0.5, tmp_path / "out", parents=PARENTS, base_share=0)
    vae = AutoencoderKL.from_pretrained(tmp_path / "out")
    for name, tensor in vae.state_dict().items():
        torch.testing.assert_close(tensor, expected[name])


def test_a_full_disk_ends_in_one_sentence(base: Path, tuned: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="File exists"):
        blend_unet(base, tuned, 0.5, tmp_path / "file", parents=PARENTS, base_share=0)


def test_a_weight_beyond_the_parents_is_refused(base: Path, tuned: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weight is 1\.5"):
        blend_unet(base, tuned, 1.5, tmp_path, parents=PARENTS, base_share=0)


def test_the_amount_is_corrected_for_the_base_in_the_average() -> None:
    assert blend_amount(1.0, 0.22) == pytest.approx(0.78)
    assert blend_amount(0.5, 0.0) == 0.5


def test_memory_stays_flat(tmp_path: Path) -> None:
    large = {f"layer.{n}": torch.zeros(8_000_000) for n in range(5)}  # 160 MB
    for name in ("base", "tuned"):
        (tmp_path / name).mkdir()
        (tmp_path / name / CONFIG_FILE).write_text("{}")
        save_file(large, tmp_path / name / WEIGHTS_FILE)
    taken = bytes_above_start(
        "import torch, styledag.tensors.writer, safetensors.torch\n"
        "from styledag.merging.blend import blend_unet",
        "blend_unet(root / 'base', root / 'tuned', 0.5, root / 'out', parents={}, base_share=0)",
        tmp_path,
    )
    assert taken < 180 << 20  # Of two files of 160 MB.


def test_the_module_is_importable_without_torch() -> None:
    code = "import styledag.merging.blend, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
