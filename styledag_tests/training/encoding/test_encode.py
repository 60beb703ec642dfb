import dataclasses
import io
import json
import threading
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import load_file

from styledag.bases import kl_autoencoder
from styledag.bases.latents import LatentScale
from styledag.bases.texts import clip, tokens
from styledag.bases.texts.clip import STATES
from styledag.errors import DataError, ModelError
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.training.encoding import encoders
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.encoding.encode import encode_dataset
from styledag_tests.bases.loading import load_vae
from styledag_tests.training.conftest import (
    CPU,
    encode_samples,
    image,
    make_samples,
    ragged_samples,
)


def fresh(workspace: Workspace, name: str) -> Workspace:
    folder = workspace.folder.with_name(name)
    folder.mkdir()
    return dataclasses.replace(workspace, folder=folder, work=type(workspace.work)())


def contents(workspace: Workspace) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in workspace.folder.iterdir()}


def test_moments_and_states_are_those_of_diffusers_and_transformers(
    base: Path, store: Store, workspace: Workspace
) -> None:
    from transformers import CLIPTextModel, CLIPTokenizer

    samples = make_samples(store, 3)
    encode_samples(samples, base, workspace)
    encoded = EncodedDataset.open(workspace.folder)

    vae = AutoencoderKL.from_pretrained(base / "vae", low_cpu_mem_usage=False).eval()
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(base / "text_encoder").eval()
    by_id = {sample.id: sample for sample in samples}
    for each in encoded.samples:
        sample = by_id[each.id]
        with Image.open(io.BytesIO(store.blobs.read(sample.image_sha256))) as image:
            pixels = torch.tensor(list(image.convert("RGB").tobytes()))
        pixels = pixels.reshape(16, 16, 3).permute(2, 0, 1).float()[None] / 127.5 - 1
        with torch.no_grad():
            upright = vae.encode(pixels).latent_dist
            mirrored = vae.encode(pixels.flip(-1)).latent_dist
            tokens = tokenizer(
                sample.caption, padding="max_length", truncation=True, return_tensors="pt"
            )
            states = text_encoder(tokens.input_ids)[0][0]
        torch.testing.assert_close(encoded.moments["16x16"].mean[each.row, 0], upright.mean[0])
        torch.testing.assert_close(encoded.moments["16x16"].logvar[each.row, 0], upright.logvar[0])
        torch.testing.assert_close(encoded.moments["16x16"].mean[each.row, 1], mirrored.mean[0])
        torch.testing.assert_close(encoded.conditioning[STATES][each.captions[0]], states)
        assert encoded.captions[each.captions[0]] == sample.caption
    assert encoded.scale == LatentScale(0.5)
    assert encoded.captions[encoded.empty_caption] == ""


def test_second_run_encodes_nothing_and_loads_no_model(
    base: Path, store: Store, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = make_samples(store, 4, validation=1)
    encode_samples(samples, base, workspace)
    assert workspace.work == {"encodes": 4, "text_encodes": 4}

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(kl_autoencoder, "load_diffusers", refuse)
    monkeypatch.setattr(clip, "load_transformers", refuse)
    monkeypatch.setattr(tokens, "load_tokenizer", refuse)
    again = fresh(workspace, "again")
    encode_samples(samples, base, again)
    assert not again.work
    assert contents(again) == contents(workspace)


def test_one_more_image_costs_one_encoding_and_changes_no_other(
    base: Path, store: Store, workspace: Workspace
) -> None:
    *samples, further = make_samples(store, 6)
    encode_samples(samples, base, workspace)
    before = EncodedDataset.open(workspace.folder)
    grown = fresh(workspace, "grown")
    encode_samples([further, *samples], base, grown)
    after = EncodedDataset.open(grown.folder)
    assert grown.work == {"encodes": 1}
    rows = {each.id: each.row for each in after.samples}
    for each in before.samples:
        for name in ("mean", "logvar"):
            old, new = (getattr(one.moments["16x16"], name) for one in (before, after))
            assert torch.equal(old[each.row], new[rows[each.id]])


def test_content_does_not_depend_on_what_was_missing_together(
    base: Path, store: Store, workspace: Workspace, tmp_path: Path
) -> None:
    samples = make_samples(store, 11)
    encode_samples(samples, base, workspace)
    other = Store(str(tmp_path / "other"), cache=tmp_path / "cache-2")
    make_samples(other, 11)
    piecewise = dataclasses.replace(
        fresh(workspace, "piecewise"), blobs=other.blobs, items=other.items
    )
    for part in (samples[7:9], samples[2:8], samples):
        encode_samples(part, base, piecewise)
    assert piecewise.work["encodes"] == 11
    assert contents(piecewise) == contents(workspace)


def test_damaged_item_is_made_again(base: Path, store: Store, workspace: Workspace) -> None:
    samples = make_samples(store, 2)
    encode_samples(samples, base, workspace)
    root = Path(store.files.root)
    damaged = next(path for path in (root / "items" / "moments").rglob("*") if path.is_file())
    damaged.write_bytes(damaged.read_bytes()[:100])
    again = fresh(workspace, "again")
    encode_samples(samples, base, again)
    assert again.work == {"encodes": 1}
    assert contents(again) == contents(workspace)


def test_flip_and_base_version_are_part_of_the_key(
    base: Path, store: Store, workspace: Workspace
) -> None:
    samples = make_samples(store, 2)
    encode_samples(samples, base, workspace)
    upright = fresh(workspace, "upright")
    encode_samples(samples, base, upright, flip=False)
    assert upright.work == {"encodes": 2}
    assert EncodedDataset.open(upright.folder).moments["16x16"].mean.shape[1] == 1
    other = fresh(workspace, "other")
    encode_dataset(samples, base, base_version="base-2", compute=CPU, workspace=other, flip=True)
    assert other.work == {"encodes": 2, "text_encodes": 3}


def test_files_hold_what_any_reader_of_safetensors_expects(
    base: Path, store: Store, workspace: Workspace
) -> None:
    samples = make_samples(store, 5, validation=2)
    facts = encode_dataset(
        samples, base, base_version="base-1", compute=CPU, workspace=workspace, flip=True
    )
    moments = load_file(workspace.folder / "moments-16x16.safetensors")
    assert moments["mean"].shape == moments["logvar"].shape == (5, 2, 4, 8, 8)
    states = load_file(workspace.folder / "text_states.safetensors")["text_states"]
    assert states.shape == (4, 77, 32)
    index = json.loads((workspace.folder / "samples.json").read_text())
    assert [each["id"] for each in index["samples"]] == sorted(each.id for each in samples)
    assert facts["train"] == 3
    assert facts["validation"] == 2
    assert facts["captions"] == 3
    assert facts["latents_shapes"] == {"16x16": [4, 8, 8]}
    assert facts["buckets"] == {"16x16": 5}


def test_sampled_latents_have_the_posterior_s_mean_and_spread(
    base: Path, store: Store, workspace: Workspace
) -> None:
    encode_samples(make_samples(store, 1), base, workspace)
    encoded = EncodedDataset.open(workspace.folder)
    sample = encoded.train[0]
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack(
        [encoded.sample_latents(sample, generator, flipped=True) for _ in range(2000)]
    )
    moments = encoded.moments["16x16"]
    spread = torch.exp(0.5 * moments.logvar[0, 1]) * 0.5
    torch.testing.assert_close(draws.std(dim=0), spread, rtol=0.1, atol=0.01)
    error = (draws.mean(dim=0) - moments.mean[0, 1] * 0.5).abs() / spread
    assert error.max() < 5 / 2000**0.5


def test_nan_latents_are_refused_by_the_image_s_name(
    base: Path, store: Store, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> AutoencoderKL:
        vae = load_vae(base)
        vae.quant_conv.bias.data[0] = float("nan")
        return vae

    monkeypatch.setattr(kl_autoencoder, "load_diffusers", broken)
    samples = sorted(make_samples(store, 2), key=lambda each: each.id)
    with pytest.raises(DataError, match=samples[0].name):
        encode_samples(samples, base, workspace)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no image", "cannot be decoded"),
        (image(9, size_px=21), "21x21 px"),
        (image(1)[:300], "cannot be decoded"),
    ],
    ids=["text", "other size", "cut off"],
)
def test_unusable_image_is_named(
    base: Path, store: Store, workspace: Workspace, content: bytes, message: str
) -> None:
    samples = make_samples(store, 3)
    samples[1] = dataclasses.replace(samples[1], image_sha256=store.blobs.put(content))
    with pytest.raises(DataError, match=message) as caught:
        encode_samples(samples, base, workspace)
    assert "image-" in str(caught.value)


def test_shapes_become_buckets_of_equal_moments_whatever_lies_beside(
    base: Path, store: Store, workspace: Workspace
) -> None:
    vae = AutoencoderKL.from_pretrained(base / "vae", low_cpu_mem_usage=False).eval()
    samples = ragged_samples(store, {(16, 16): 3, (24, 8): 1, (8, 24): 10})
    facts = encode_dataset(
        samples, base, base_version="base-1", compute=CPU, workspace=workspace, flip=True
    )
    assert facts["buckets"] == {"16x16": 3, "24x8": 1, "8x24": 10}
    assert facts["latents_shapes"] == {"16x16": [4, 8, 8], "24x8": [4, 4, 12], "8x24": [4, 12, 4]}
    assert sum(facts["buckets"].values()) == facts["samples"] == workspace.work["encodes"] == 14
    encoded = EncodedDataset.open(workspace.folder)
    by_id = {each.id: each for each in samples}
    for each in encoded.samples:
        with Image.open(io.BytesIO(store.blobs.read(by_id[each.id].image_sha256))) as image:
            assert each.bucket == f"{image.width}x{image.height}"
            pixels = torch.tensor(list(image.convert("RGB").tobytes()))
        pixels = pixels.reshape(image.height, image.width, 3).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            expected = vae.encode(pixels.flip(-1)).latent_dist
        moments = encoded.moments[each.bucket]
        torch.testing.assert_close(moments.mean[each.row, 1], expected.mean[0])
        torch.testing.assert_close(moments.logvar[each.row, 1], expected.logvar[0])
    again = fresh(workspace, "again")
    encode_samples(samples, base, again)
    assert not again.work
    assert contents(again) == contents(workspace)


def test_families_and_variants_are_kept_and_each_caption_encoded_once(
    base: Path, store: Store, workspace: Workspace
) -> None:
    samples = [
        dataclasses.replace(each, family=f"family {at % 2}", variants=("a thing", f"thing {at}"))
        for at, each in enumerate(make_samples(store, 4))
    ]
    encode_samples(samples, base, workspace)
    assert workspace.work["text_encodes"] == 1 + 3 + 1 + 4
    encoded = EncodedDataset.open(workspace.folder)
    by_id = {each.id: each for each in samples}
    for each in encoded.samples:
        assert tuple(encoded.captions[at] for at in each.captions) == by_id[each.id].captions
        assert each.family == by_id[each.id].family


def test_caption_that_the_base_cannot_read_whole_is_refused(
    base: Path, store: Store, workspace: Workspace
) -> None:
    long = dataclasses.replace(make_samples(store, 1)[0], caption="cat " * 76)
    with pytest.raises(DataError, match=r"'cat .*78 tokens long, but the base reads 77"):
        encode_samples([long], base, workspace)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's list of mappings")
def test_files_are_mapped_and_not_copied(base: Path, store: Store, workspace: Workspace) -> None:
    encode_samples(make_samples(store, 2), base, workspace)
    encoded = EncodedDataset.open(workspace.folder)
    mappings = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    for name, tensor in [
        ("moments-16x16.safetensors", encoded.moments["16x16"].logvar),
        ("text_states.safetensors", encoded.conditioning[STATES]),
    ]:
        ranges = [line[0].split("-") for line in mappings if line[-1].endswith(f"artifact/{name}")]
        start = tensor.data_ptr()
        assert any(int(low, 16) <= start < int(high, 16) for low, high in ranges), name


def test_images_are_decoded_by_several_threads_ahead_of_the_device(
    base: Path, store: Store, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    own = encoders.rgb_pixels

    def decoding(name: str, content: bytes) -> torch.Tensor:
        threads.add(threading.current_thread().name)
        return own(name, content)

    monkeypatch.setattr(encoders, "rgb_pixels", decoding)
    encode_samples(make_samples(store, 12), base, workspace)
    assert threads
    assert all(each.startswith("ahead") for each in threads)


def test_what_was_encoded_before_an_image_that_fails_is_kept(
    base: Path, store: Store, workspace: Workspace
) -> None:
    samples = sorted(make_samples(store, 10), key=lambda each: each.id)
    broken = dataclasses.replace(samples[9], image_sha256=store.blobs.put(image(9, size_px=21)))
    with pytest.raises(DataError, match="21x21 px"):
        encode_samples([*samples[:9], broken], base, workspace)
    again = fresh(workspace, "again")
    encode_samples(samples, base, again)
    assert 0 < again.work["encodes"] < 10


def test_empty_dataset_and_repeated_ids_are_refused(
    base: Path, store: Store, workspace: Workspace
) -> None:
    with pytest.raises(DataError, match="no image"):
        encode_samples([], base, workspace)
    with pytest.raises(DataError, match="one id"):
        encode_samples(make_samples(store, 1) * 2, base, workspace)


def test_missing_base_is_named(store: Store, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        encode_samples(make_samples(store, 1), tmp_path / "nowhere", workspace)


def test_bfloat16_is_kept_as_such(base: Path, store: Store, workspace: Workspace) -> None:
    compute = dataclasses.replace(CPU, dtype=torch.bfloat16)
    encode_dataset(
        make_samples(store, 1),
        base,
        base_version="1",
        compute=compute,
        workspace=workspace,
        flip=True,
    )
    encoded = EncodedDataset.open(workspace.folder)
    assert (
        encoded.moments["16x16"].mean.dtype == encoded.conditioning[STATES].dtype == torch.bfloat16
    )
    latents = encoded.sample_latents(encoded.train[0], torch.Generator().manual_seed(0))
    assert latents.dtype == torch.float32
