"""A file's denoiser in place of a base's own: converted by diffusers, refused by its header."""

import json
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag.models.reference import ModelReference, check_model, resolve_model
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag.store.store import Store
from styledag_tests.bases.families import tiny_families
from styledag_tests.publishing.conftest import first_pipeline  # noqa: F401 - a fixture

FAMILIES = tiny_families()
WEIGHTS = "diffusion_pytorch_model.safetensors"
CONVERTED = ["stable_diffusion_3", *(name for name, each in FAMILIES.items() if each.original)]


@pytest.fixture(scope="module")
def folder_of(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("families")
    return cache(
        lambda name: FAMILIES[name].write(root / name, starter / "stable-diffusion" / "tokenizer")
    )


@pytest.fixture
def community(folder_of: Callable[[str], Path], tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file with the denoiser of a family, every element 1 more than the base's."""

    def write(name: str, prefix: str) -> Path:
        own = folder_of(name) / "transformer"
        other = tmp_path / "other"
        shutil.copytree(own, other)
        save_file({each: it + 1 for each, it in load_file(own / WEIGHTS).items()}, other / WEIGHTS)
        path = tmp_path / "file.safetensors"
        description = ModelDescription(title="A file")
        export_single_file(folder_of(name), path, description, denoiser=other, dtype="float32")
        tensors = {
            each.removeprefix("model.diffusion_model."): tensor.clone()
            for each, tensor in load_file(path).items()
            if not each.startswith(("first_stage_model.", "text_encoders."))
        }
        further = {"vae.decoder.conv_in.weight": torch.zeros(1)} if prefix else {}
        save_file({**{prefix + each: it for each, it in tensors.items()}, **further}, path)
        return path

    return write


def reference_to(base: Path, path: Path) -> ModelReference:
    return ModelReference(model=str(base), denoiser=str(path))


@pytest.mark.parametrize("name", CONVERTED)
def test_training_knows_the_parts_whose_weights_it_does_not_read(
    folder_of: Callable[[str], Path],
    community: Callable[[str, str], Path],
    store: Store,
    tmp_path: Path,
    name: str,
) -> None:
    """It asks a base for the shapes of latents and texts, after hours of encoding."""
    own = folder_of(name)
    parts = find_base(own).parts.training
    reference = reference_to(own, community(name, ""))
    resolved = resolve_model(reference, project=tmp_path, items=store.items, parts=parts)
    base, whole = find_base(resolved.folder), find_base(own)
    assert base.latents == whole.latents
    shapes, expected = (
        {name: each.shape for name, each in found.meta_conditioning(1).tensors.items()}
        for found in (base, whole)
    )
    assert shapes == expected
    assert not list((resolved.folder / "vae").glob("*.safetensors"))


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("name", CONVERTED)
def test_the_base_has_the_files_denoiser(
    folder_of: Callable[[str], Path],
    community: Callable[[str, str], Path],
    store: Store,
    tmp_path: Path,
    name: str,
    prefix: str,
) -> None:
    own, path = folder_of(name), community(name, prefix)
    reference = reference_to(own, path)
    check_model(reference, project=tmp_path)
    resolved = resolve_model(reference, project=tmp_path, items=store.items)
    base = find_base(resolved.folder)
    before = find_base(own).denoiser().state_dict()
    after = base.denoiser().state_dict()
    assert all(torch.equal(after[each], before[each] + 1) for each in before)
    for part in base.parts.encoding:
        assert (resolved.folder / part).is_dir()
    plain = resolve_model(ModelReference(model=str(own)), project=tmp_path, items=store.items)
    assert resolved.version != plain.version
    parts = list(base.parts.encoding)
    encoding = {
        resolve_model(each, project=tmp_path, items=store.items, parts=parts).version
        for each in (reference, ModelReference(model=str(own)))
    }
    assert len(encoding) == 1  # another denoiser encodes nothing again


def test_names_of_diffusers_are_read_and_convert_to_the_same_version(
    folder_of: Callable[[str], Path], store: Store, tmp_path: Path
) -> None:
    own = folder_of("sana")
    file = shutil.copy(own / "transformer" / WEIGHTS, tmp_path / "plain.sft")
    named = {f"transformer.{each}": it for each, it in load_file(file).items()}
    save_file(named, tmp_path / "named.safetensors")
    versions = {
        resolve_model(
            reference_to(own, tmp_path / name), project=tmp_path, items=store.items
        ).version
        for name in ("plain.sft", "named.safetensors")
    }
    assert len(versions) == 1


@pytest.mark.parametrize("denoiser_too", [False, True])
def test_text_encoders_beside_it_may_be_of_eight_bits_and_it_may_not(
    folder_of: Callable[[str], Path],
    community: Callable[[str, str], Path],
    store: Store,
    tmp_path: Path,
    denoiser_too: bool,
) -> None:
    """As in ``sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors``, which ComfyUI's users have."""
    path = community("stable_diffusion_3", "model.diffusion_model.")
    tensors = load_file(path)
    tensors["text_encoders.t5xxl.transformer.shared.weight"] = torch.ones(4, 4)
    eight = "" if denoiser_too else "text_encoders."
    for name in [each for each in tensors if each.startswith(eight)]:
        tensors[name] = tensors[name].to(torch.float8_e4m3fn)
    save_file(tensors, path)
    reference = reference_to(folder_of("stable_diffusion_3"), path)
    if denoiser_too:
        with pytest.raises(ModelError, match=r"F8_E4M3.*: name the same model in float32, bfl"):
            check_model(reference, project=tmp_path)
        return
    check_model(reference, project=tmp_path, values=True)
    assert resolve_model(reference, project=tmp_path, items=store.items).version


def test_a_unet_of_a_whole_checkpoint_is_read(
    first_pipeline: Path,  # noqa: F811
    store: Store,
    tmp_path: Path,
) -> None:
    path = tmp_path / "whole.safetensors"
    export_single_file(first_pipeline, path, ModelDescription(title="A file"), dtype="float32")
    resolved = resolve_model(
        reference_to(first_pipeline, path), project=tmp_path, items=store.items, parts=["unet"]
    )
    own, read = (load_file(each / "unet" / WEIGHTS) for each in (first_pipeline, resolved.folder))
    assert own.keys() == read.keys()
    assert all(torch.equal(read[name], own[name]) for name in own)


@pytest.mark.parametrize(
    ("further", "why"),
    [
        ({"v_pred": torch.zeros(0)}, "states prediction_type 'v_prediction'.*'epsilon'"),
        ({"edm_vpred.sigma_max": torch.tensor(120.0)}, "continuous noise level"),
        (
            {"model.diffusion_model.time_embed.cond_proj.weight": torch.ones(8, 16)},
            "cond_proj.weight' is no layer of the base's UNet",
        ),
    ],
    ids=["v", "continuous", "distilled"],
)
def test_a_unet_that_was_trained_otherwise_than_the_base_is_refused(
    first_pipeline: Path,  # noqa: F811
    tmp_path: Path,
    further: dict[str, torch.Tensor],
    why: str,
) -> None:
    """It has the base's shapes, and would be taught to predict something else than it does."""
    path = tmp_path / "file.safetensors"
    export_single_file(first_pipeline, path, ModelDescription(title="A file"), dtype="float32")
    save_file(load_file(path) | further, path)
    with pytest.raises(ModelError, match=rf"file\.safetensors .*{why}"):
        check_model(reference_to(first_pipeline, path), project=tmp_path)


def test_the_bases_own_denoiser_is_not_needed(
    folder_of: Callable[[str], Path],
    community: Callable[[str, str], Path],
    store: Store,
    tmp_path: Path,
) -> None:
    path = community("z_image", "")
    base = shutil.copytree(folder_of("z_image"), tmp_path / "base")
    (base / "transformer" / WEIGHTS).unlink()
    reference = reference_to(base, path)
    check_model(reference, project=tmp_path, values=True)
    folder = resolve_model(reference, project=tmp_path, items=store.items).folder
    assert (folder / "transformer" / WEIGHTS).is_file()


def test_it_is_converted_once_and_the_base_stays_as_it_is(
    folder_of: Callable[[str], Path],
    community: Callable[[str, str], Path],
    store: Store,
    tmp_path: Path,
) -> None:
    own, path = folder_of("flux2_klein"), community("flux2_klein", "")
    before = (own / "transformer" / WEIGHTS).read_bytes()
    reference = reference_to(own, path)

    def written() -> int:
        resolved = resolve_model(reference, project=tmp_path, items=store.items)
        return (resolved.folder / "transformer" / WEIGHTS).stat().st_mtime_ns

    assert written() == written()
    assert (own / "transformer" / WEIGHTS).read_bytes() == before


@pytest.mark.parametrize("check", [True, False], ids=["doctor", "run"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("another family", "no denoiser of the base"),
        ("a tensor less", "no denoiser of the base"),
        ("another size", "no denoiser of the base"),
        ("a lora", "is a LoRA"),
        ("a lokr", "is a LoRA or the like"),
        ("no file", "remove denoiser"),
        ("a pickle", "can run code"),
        ("a gguf", "GGUF's quantised weights are not read: name the model"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    folder_of: Callable[[str], Path],
    community: Callable[[str, str], Path],
    store: Store,
    tmp_path: Path,
    change: str,
    message: str,
    check: bool,
) -> None:
    base = folder_of("z_image" if change == "another family" else "flux2_klein")
    path = community("flux2_klein", "")
    tensors = load_file(path)
    if change == "a tensor less":
        del tensors["img_in.weight"]
    elif change == "another size":
        tensors["img_in.weight"] = tensors["img_in.weight"][:-1].contiguous()
    elif change == "a lora":
        tensors = {"double_blocks.0.img_attn.qkv.lora_A.weight": torch.zeros(2, 2)}
    elif change == "a lokr":  # as LyCORIS names its layers, and trainers that use it
        tensors = {"lycoris_double_blocks_0_img_attn_qkv.lokr_w1": torch.zeros(2, 2)}
    save_file(tensors, path)
    if change == "no file":
        path.unlink()
    elif change in ("a pickle", "a gguf"):
        path = path.rename(path.with_suffix(".ckpt" if change == "a pickle" else ".GGUF"))
    look = check_model if check else partial(resolve_model, items=store.items)
    with pytest.raises(ModelError, match=message) as error:
        look(reference_to(base, path), project=tmp_path)
    assert path.name in str(error.value)


def test_a_bad_file_is_refused_before_the_hub_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: pytest.fail("the Hub was asked"))
    reference = ModelReference(model="org/name", revision="main", denoiser="missing.safetensors")
    with pytest.raises(ModelError, match=r"missing\.safetensors"):
        resolve_model(reference, project=tmp_path, items=store.items)


def test_nan_in_it_is_refused(
    folder_of: Callable[[str], Path],
    community: Callable[[str, str], Path],
    store: Store,
    tmp_path: Path,
) -> None:
    path = community("z_image", "")
    tensors = load_file(path)
    tensors["cap_pad_token"][0, 0] = torch.nan
    save_file(tensors, path)
    reference = reference_to(folder_of("z_image"), path)
    with pytest.raises(ModelError, match="cap_pad_token"):
        resolve_model(reference, project=tmp_path, items=store.items)


def test_a_single_file_and_a_model_without_denoiser_have_none_to_replace(
    store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "whole.safetensors"
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(ModelError, match="remove denoiser"):
        resolve_model(reference_to(file, file), project=tmp_path, items=store.items)
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "config.json").write_text(json.dumps({}))
    with pytest.raises(ModelError, match="no denoiser"):
        resolve_model(reference_to(tmp_path / "clip", file), project=tmp_path, items=store.items)
