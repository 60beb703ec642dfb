"""A base whose weights come in shards is trained, stored, restored, blended and versioned."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from styledag.merging.blend import blend_unet
from styledag.models.soundness import check_weights
from styledag.store.store import Store
from styledag.tensors.delta import restore_delta, write_delta
from styledag.tensors.layout import CONFIG_FILE, WEIGHTS_FILE
from styledag.tensors.values import weights_version
from styledag.training.decoder.file import write_tuned_vae
from styledag_tests.bases.loading import load_unet, load_vae
from styledag_tests.training.conftest import Encode
from styledag_tests.training.training import train


def test_shards_make_no_difference(
    base: Path, encode: Encode, store: Store, tmp_path: Path
) -> None:
    sharded = tmp_path / "sharded"
    shutil.copytree(base, sharded, ignore=shutil.ignore_patterns("unet", "vae"))
    load_unet(base).save_pretrained(sharded / "unet", max_shard_size="100KB")
    load_vae(base).save_pretrained(sharded / "vae", max_shard_size="100KB")
    for part in ("unet", "vae"):
        assert len(list((sharded / part).glob("*.safetensors"))) > 1
        assert weights_version(sharded / part, known_as=None, items=store.items) == (
            weights_version(base / part, known_as=None, items=store.items)
        )
    check_weights(sharded, ("unet", "vae", "text_encoder", "tokenizer"), values=True)

    dataset = encode(3)
    one, other = (
        train(dataset, each, tmp_path / name).final.folder
        for each, name in ((base, "from-base"), (sharded, "from-shards"))
    )
    # Not bit for bit: kernels round by where in memory a loader placed the weights.
    trained = load_file(other / WEIGHTS_FILE)
    for name, tensor in load_file(one / WEIGHTS_FILE).items():
        torch.testing.assert_close(trained[name], tensor, rtol=1e-2, atol=1e-4)

    write_delta(other, sharded / "unet", tmp_path / "delta")
    restore_delta(tmp_path / "delta", sharded / "unet", tmp_path / "restored")
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        assert (tmp_path / "restored" / name).read_bytes() == (other / name).read_bytes()

    for each, name in ((base, "blend"), (sharded, "blend-of-shards")):
        blend_unet(each / "unet", one, 0.5, tmp_path / name, parents={}, base_share=0)
    blends = [
        (tmp_path / name / WEIGHTS_FILE).read_bytes() for name in ("blend", "blend-of-shards")
    ]
    assert blends[0] == blends[1]

    tensors = load_file(base / "vae" / WEIGHTS_FILE)
    averages = {"decoder.conv_out.bias": tensors["decoder.conv_out.bias"] + 1}
    for each, name in ((base, "vae"), (sharded, "vae-of-shards")):
        write_tuned_vae(each / "vae", averages, tmp_path / name)
    decoders = [(tmp_path / name / WEIGHTS_FILE).read_bytes() for name in ("vae", "vae-of-shards")]
    assert decoders[0] == decoders[1]
