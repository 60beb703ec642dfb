"""Single files written by our exporter, and as people spoil them, read by diffusers' loader."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag.models.reference import ModelReference, configuration_folder, resolve_model
from styledag.models.single_file.load import single_file_folder
from styledag.publishing.model_file import DType, ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag.store.store import Store
from styledag_tests.bases.tiny_parts import change
from styledag_tests.publishing.pipelines import state_of, without_weights

BIAS = "model.diffusion_model.input_blocks.0.0.bias"
Tensors = dict[str, torch.Tensor]


def exported(pipeline: Path, path: Path, dtype: DType = "float32") -> Path:
    export_single_file(pipeline, path, ModelDescription(title="t"), dtype=dtype)
    return path


def folder_of(path: Path, config: Path | str | None = None) -> Path:
    return single_file_folder(
        path, config=None if config is None else str(config), project=path.parent
    )


def test_a_single_file_comes_back_as_the_same_pipeline(pipeline: Path, tmp_path: Path) -> None:
    path = exported(pipeline, tmp_path / "model.safetensors")
    config = without_weights(pipeline, tmp_path / "config")

    folder = folder_of(path, config)

    first, read = (DiffusionPipeline.from_pretrained(each) for each in (pipeline, folder))
    expected, found = state_of(first), state_of(read)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert dict(read.scheduler.config) == dict(first.scheduler.config)
    assert read.tokenizer("a cat").input_ids == first.tokenizer("a cat").input_ids
    find_base(folder)


def test_it_is_made_once_until_the_file_changes(first_pipeline: Path, tmp_path: Path) -> None:
    path = exported(first_pipeline, tmp_path / "model.safetensors")
    before = folder_of(path, first_pipeline)
    weights = before / "unet" / "diffusion_pytorch_model.safetensors"
    made_ns = weights.stat().st_mtime_ns

    assert folder_of(path, first_pipeline) == before
    assert weights.stat().st_mtime_ns == made_ns
    tensors = load_file(path)
    save_file({**tensors, BIAS: tensors[BIAS] + 1}, path)
    after = folder_of(path, first_pipeline)

    changed = load_file(after / "unet" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(changed["conv_in.bias"], tensors[BIAS] + 1)
    assert weights.stat().st_mtime_ns == made_ns


def test_the_version_is_that_of_the_parts_content(
    first_pipeline: Path, tmp_path: Path, store: Store
) -> None:
    path = exported(first_pipeline, tmp_path / "a.safetensors")
    tensors = load_file(path)
    save_file({**tensors, BIAS: tensors[BIAS] + 1}, tmp_path / "b.safetensors")
    (tmp_path / "copy.safetensors").write_bytes(path.read_bytes())

    def version(name: str, part: str) -> str:
        reference = ModelReference(model=f"{name}.safetensors", config=str(first_pipeline))
        model = resolve_model(reference, project=tmp_path, items=store.items, parts=[part])
        assert configuration_folder(reference, project=tmp_path) == model.folder
        assert model.as_input("base").partition == f"{name}.safetensors"
        return model.version

    assert version("a", "unet") == version("copy", "unet") != version("b", "unet")
    assert version("a", "vae") == version("b", "vae")


def test_what_community_files_contain_besides_is_ignored(
    first_pipeline: Path, tmp_path: Path
) -> None:
    path = exported(first_pipeline, tmp_path / "model.safetensors")
    tensors = load_file(path)
    position_ids = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    further = {
        "alphas_cumprod": torch.ones(1000),
        "model_ema.decay": torch.tensor(0.9999),
        position_ids: torch.arange(77)[None],
        BIAS: tensors[BIAS].half(),
    }
    save_file(tensors | further, path)

    read = state_of(DiffusionPipeline.from_pretrained(folder_of(path, first_pipeline)))

    expected = state_of(DiffusionPipeline.from_pretrained(first_pipeline))
    expected["unet.conv_in.bias"] = expected["unet.conv_in.bias"].half().float()
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())


def test_what_is_not_read_may_hold_infinity(first_pipeline: Path, tmp_path: Path) -> None:
    """Tables of a schedule with zero terminal SNR do, and averages that were never updated."""
    path = exported(first_pipeline, tmp_path / "model.safetensors")
    bad = torch.tensor([1.0, torch.inf])
    further = {"sqrt_recip_alphas_cumprod": bad, "model_ema.diffusion_modelout2bias": -bad}
    save_file(load_file(path) | further, path)

    base = find_base(folder_of(path, first_pipeline))
    assert all(bool(each.isfinite().all()) for each in base.denoiser().state_dict().values())


@pytest.mark.parametrize(
    ("name", "in_file"),
    [
        (".transformer.text_model.", ".transformer."),  # before transformers 4
        (".mid.attn_1.q.", ".mid.attn_1.to_q."),  # as EveryDream2 wrote them
        (".mid.attn_1.proj_out.", ".mid.attn_1.to_out.0."),
    ],
)
def test_names_of_other_trainers_are_read(
    first_pipeline: Path, tmp_path: Path, name: str, in_file: str
) -> None:
    path = exported(first_pipeline, tmp_path / "model.safetensors")
    renamed = {key.replace(name, in_file): tensor for key, tensor in load_file(path).items()}
    assert renamed.keys() != load_file(path).keys()
    renamed["cond_stage_model.transformer.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(renamed, path)

    read = state_of(DiffusionPipeline.from_pretrained(folder_of(path, first_pipeline)))

    expected = state_of(DiffusionPipeline.from_pretrained(first_pipeline))
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())


def test_a_configuration_that_the_file_contradicts_is_refused(
    xl_pipeline: Path, tmp_path: Path
) -> None:
    """A UNet that predicts v would be taught to predict noise, and nothing would fail."""
    path = exported(xl_pipeline, tmp_path / "model.safetensors")
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    save_file(load_file(path) | marks, path)
    config = without_weights(xl_pipeline, tmp_path / "config")
    scheduler = config / "scheduler" / "scheduler_config.json"

    with pytest.raises(ModelError, match=r"states prediction_type 'v_prediction'.*'epsilon'"):
        folder_of(path, config)
    change(scheduler, prediction_type="v_prediction")
    with pytest.raises(ModelError, match=r"states rescale_betas_zero_snr True.*False"):
        folder_of(path, config)
    change(scheduler, rescale_betas_zero_snr=True)
    assert find_base(folder_of(path, config)).objective().prediction_type == "v_prediction"


def test_halves_stay_halves(first_pipeline: Path, tmp_path: Path) -> None:
    path = exported(first_pipeline, tmp_path / "model.safetensors", "float16")
    position_ids = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    tables = {"alphas_cumprod": torch.ones(1000), position_ids: torch.arange(77.0)[None]}
    save_file(load_file(path) | tables, path)

    folder = folder_of(path, first_pipeline)

    read = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(read["conv_in.bias"], load_file(path)[BIAS])


def without(start: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {k: v for k, v in tensors.items() if not k.startswith(start)}


def with_nan(tensors: Tensors) -> Tensors:
    return {**tensors, BIAS: torch.full_like(tensors[BIAS], torch.nan)}


def eight_bits(tensors: Tensors) -> Tensors:
    return {**tensors, BIAS: tensors[BIAS].to(torch.float8_e4m3fn)}


def distilled(tensors: Tensors) -> Tensors:
    return {**tensors, "model.diffusion_model.time_embed.cond_proj.weight": torch.ones(8, 16)}


def continuous(tensors: Tensors) -> Tensors:
    return {**tensors, "edm_vpred.sigma_max": torch.tensor(120.0)}


def lora(_: Tensors) -> Tensors:
    return {"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": torch.ones(4, 4)}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("first_stage_model."), "contains no vae"),
        (
            without("model.diffusion_model.time_embed.0."),
            r"lacks tensor '.*time_embed\.0\.weight' of the unet",
        ),
        (without(BIAS), rf"lacks tensor '{BIAS}' of the unet"),
        (with_nan, rf"tensor '{BIAS}' holds NaN or infinity"),
        (eight_bits, "dtype is F8_E4M3"),
        (distilled, r"time_embed\.cond_proj\.weight' .*which the denoiser .* has not"),
        (continuous, r"a continuous noise level \(tensor 'edm_vpred\.sigma_max'\)"),
        (lora, "is a LoRA"),
    ],
    ids=["no autoencoder", "no layer", "no tensor", "nan", "8 bits", "lcm", "cosxl", "lora"],
)
def test_what_cannot_be_a_base_is_refused_by_file_and_tensor(
    first_pipeline: Path,
    tmp_path: Path,
    assets: Path,
    spoil: Callable[[Tensors], Tensors],
    message: str,
) -> None:
    path = exported(first_pipeline, tmp_path / "model.safetensors")
    save_file(spoil(load_file(path)), path)

    with pytest.raises(ModelError, match=message) as raised:
        folder_of(path, first_pipeline)

    assert str(path) in str(raised.value)
    assert not list(assets.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("model.ckpt", "can run code"), ("model.pt", "can run code"), ("model.gguf", "quantised")],
)
def test_other_formats_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02")
    with pytest.raises(ModelError, match=rf"no \.safetensors file.*{reason}"):
        folder_of(tmp_path / name)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no header")
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        folder_of(tmp_path / "model.safetensors")


def test_configurations_that_do_not_fit_are_refused(first_pipeline: Path, tmp_path: Path) -> None:
    path = exported(first_pipeline, tmp_path / "model.safetensors")
    other = without_weights(first_pipeline, tmp_path / "other")
    config = other / "unet" / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"cross_attention_dim": 32', '"cross_attention_dim": 64'))

    with pytest.raises(ModelError, match="does not fit"):
        folder_of(path, other)
    for unknown in ("flux", tmp_path):
        with pytest.raises(ModelError, match=r"must be stable-diffusion-v1, .*or a folder"):
            folder_of(path, unknown)
    # The header states 1.x, but there are fewer tensors than those of 1.x.
    for config in (None, "stable-diffusion-v1"):
        with pytest.raises(ModelError, match=r"lacks tensor .* of the unet.*under config"):
            folder_of(path, config)


def test_what_a_reference_has_no_place_for_is_refused(
    first_pipeline: Path, tmp_path: Path, store: Store
) -> None:
    exported(first_pipeline, tmp_path / "model.safetensors")
    (tmp_path / "folder").mkdir()
    for reference, message in (
        (ModelReference(model="model.safetensors", revision="main"), "single file.*no revision"),
        (ModelReference(model="model.safetensors", variant="fp16"), "single file.*no variant"),
        (ModelReference(model="folder", config="stable-diffusion-v1"), "a folder.*no config"),
        (ModelReference(model="a/b", revision="main", config="x"), "on the Hub.*no config"),
    ):
        with pytest.raises(ModelError, match=message):
            resolve_model(reference, project=tmp_path, items=store.items)
