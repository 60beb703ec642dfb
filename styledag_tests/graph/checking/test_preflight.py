"""Each bad input is named before anything runs, with its remedy, and with its line in the file."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from styledag.demo.wiki import DemoWiki
from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking import packages_check
from styledag.graph.checking.preflight import check_style, require_ready
from styledag.graph.exported_dataset import trainer_settings
from styledag.images import overlaid_text
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag.tensors.layout import WEIGHTS_FILE
from styledag_tests.bases.families import tiny_families
from styledag_tests.graph.checking.conftest import CPU, edit, line_of
from styledag_tests.whole.small_project import STYLE

FAMILIES = tiny_families()
LONG = ("cat " * 159).strip()


def family(root: Path) -> None:
    path = root / "base" / "model_index.json"
    index = json.loads(path.read_bytes())
    path.write_text(json.dumps(index | {"_class_name": "PixArtAlphaPipeline"}), encoding="utf-8")


def pickled(root: Path) -> None:
    path = root / "base" / "unet" / WEIGHTS_FILE
    path.rename(path.with_suffix(".bin"))


def fp16_only(root: Path) -> None:
    path = root / "base" / "unet" / WEIGHTS_FILE
    path.rename(path.with_name("diffusion_pytorch_model.fp16.safetensors"))


def single_file(root: Path) -> None:
    """Name the UNet's own file as the base."""
    edit(root, r"base: \{model: base\}", "base: {model: base/unet/" + WEIGHTS_FILE + "}")


def pickled_file(root: Path) -> None:
    (root / "all.ckpt").write_bytes(b"\x80\x02")
    edit(root, r"base: \{model: base\}", "base: {model: all.ckpt}")


def changed_unet(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    return changed(f"unet/{WEIGHTS_FILE}", change)


def changed(
    file: str, change: Callable[[dict[str, torch.Tensor]], object]
) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        path = root / "base" / file
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)

    return spoil


def quantised(root: Path) -> None:
    """State what a repository of quantised weights states, as transformers saves it."""
    path = root / "base" / "text_encoder" / "config.json"
    config = json.loads(path.read_bytes())
    stated = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    path.write_text(json.dumps(config | {"quantization_config": stated}), encoding="utf-8")


def nameless(root: Path) -> None:
    (root / "base" / "model_index.json").write_text("{}", encoding="utf-8")


def broken_scorer(root: Path) -> None:
    (root / "scorer").mkdir()
    edit(root, r"scorer: \{model: .*\}", "scorer: {model: scorer}")


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "no tensor": (
        changed_unet(lambda tensors: tensors.pop("conv_in.bias")),
        r"base/unet does not fit its config\.json: tensor 'conv_in\.bias' is missing",
    ),
    "shape": (
        changed_unet(lambda tensors: tensors.update({"conv_in.bias": torch.zeros(3, 1)})),
        r"tensor 'conv_in\.bias' has the shape \[3, 1\] in place of \[\d+\]",
    ),
    "a tensor too many": (
        changed_unet(lambda tensors: tensors.update({"motion.weight": torch.zeros(1)})),
        r"base/unet does not fit its config\.json: tensor 'motion\.weight' is none of its model's",
    ),
    "integers": (
        changed_unet(
            lambda tensors: tensors.update({"conv_in.bias": tensors["conv_in.bias"].char()})
        ),
        r"tensor 'conv_in\.bias' is stored as torch\.int8",
    ),
    "no tensor of the autoencoder": (
        changed(f"vae/{WEIGHTS_FILE}", lambda tensors: tensors.pop("decoder.conv_in.bias")),
        r"base/vae does not fit its config\.json: tensor 'decoder\.conv_in\.bias' is missing",
    ),
    "no tensor of the text encoder": (
        changed("text_encoder/model.safetensors", lambda tensors: tensors.popitem()),
        r"base/text_encoder does not fit its config\.json: tensor '\S+' is missing",
    ),
    "quantised": (quantised, r"text_encoder is quantised \(bitsandbytes\).*base_bits"),
    "nan": (
        changed_unet(lambda tensors: tensors["conv_in.bias"].fill_(torch.nan)),
        r"tensor 'conv_in\.bias' holds NaN",
    ),
    "nameless": (nameless, r"model_index\.json names no _class_name"),
    "family": (family, "PixArtAlphaPipeline.*cannot be fine-tuned"),
    "pickled": (pickled, "unet.*pickles are not read"),
    "fp16 only": (fp16_only, "unet has its weights as variant fp16 only.*set variant: fp16"),
    "single file": (single_file, "model.safetensors contains no unet.*name a whole checkpoint"),
    "pickled file": (pickled_file, r"all\.ckpt is no \.safetensors file.*convert it"),
    "scorer": (broken_scorer, "scorer holds no model"),
    "scorer that sees nothing": (
        lambda root: edit(root, r"(scorer: \{model: ).*\}", r"\1base/text_encoder}"),
        "text_encoder is a CLIPTextModel, which embeds no images: name a scorer",
    ),
    "captioner": (
        lambda root: edit(root, r"(captioner: \{model: [^}]*)/blip", r"\1/clip"),
        "captioner .*/clip is a clip, which describes no images: name a BLIP",
    ),
    "label": (
        lambda root: edit(root, "label: twemoji", "label: nonesuch"),
        r"scores\.classifier\.label .*nonesuch.*twemoji",
    ),
    "folder": (
        lambda root: edit(root, "(?m)^sources:", "sources:\n  - {type: folder, path: absent}"),
        "folder absent is not in",
    ),
    "memory": (
        lambda root: edit(root, "batch_size: 8", "batch_size: 10000000"),
        r"small\.full: training needs .* GB of memory.*batch_size: 1",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_known_to_fail_is_refused_before_a_run(
    catalogue: Catalogue, wiki: DemoWiki, what: str
) -> None:
    spoil, message = BAD[what]
    spoil(catalogue.project.root)
    before = sum(wiki.served.values())
    with pytest.raises(StyledagError, match=message):
        require_ready(catalogue, STYLE, [], CPU)
    assert sum(wiki.served.values()) == before


@pytest.mark.parametrize(
    ("find", "replace", "key", "message"),
    [
        (
            "a rocket",
            LONG,
            "prompts:",
            r"samples\.prompts\[1\] is 161 tokens long, but .* reads 77",
        ),
        (
            "  scheduler:",
            f"  negative_prompt: {LONG}\n  scheduler:",
            "negative_prompt",
            r"samples\.negative_prompt is 161 tokens long",
        ),
        (
            "a rocket",
            "'a (red fox:1.3) in snow'",
            "prompts:",
            r"samples\.prompts\[1\] has '\(red fox:1\.3\)', which web UIs read as a weight",
        ),
        (
            "a rocket",
            "'a fox <lora:flat_style:0.8>'",
            "prompts:",
            r"samples\.prompts\[1\] has '<lora:flat_style:0\.8>'",
        ),
        (
            "num_inference_steps: 4",
            "num_inference_steps: 600",
            "scheduler:",
            r"samples\.scheduler does not fit: ddim in 600 steps would begin at timestep 599",
        ),
        (
            "    batch_size: 8",
            "    batch_size: 8\n    instance_prompt: a sks drawing\n"
            "    prior: {class_prompt: a drawing, num_inference_steps: 600}",
            "prior:",
            r"recipes\.full\.prior\.num_inference_steps does not fit: \S+ in 600 steps",
        ),
        (
            "    batch_size: 8",
            "    batch_size: 8\n    blocks: [top]",
            "blocks:",
            r"recipes\.full\.blocks\[0\] names block 'top'",
        ),
    ],
    ids=["prompt", "negative prompt", "weighted", "lora", "steps", "prior", "blocks"],
)
def test_what_does_not_fit_the_base_is_refused_with_its_line(
    catalogue: Catalogue, find: str, replace: str, key: str, message: str
) -> None:
    root = catalogue.project.root
    edit(root, find, replace)
    with pytest.raises(StyledagError, match=rf"small\.yaml:{line_of(root, key)}: {message}"):
        require_ready(catalogue, STYLE, [], CPU)


def test_a_whole_single_file_is_a_base_like_its_folder(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    root = catalogue.project.root
    description = ModelDescription(title="all in one")
    export_single_file(root / "base", root / "all-turbo.safetensors", description, dtype="float32")
    edit(root, r"base: \{model: base\}", "base: {model: all-turbo.safetensors, config: base}")

    require_ready(catalogue, STYLE, [], CPU)

    findings = {each.subject: each for each in check_style(catalogue, STYLE, [], CPU)}
    found = findings[f"{STYLE}: base"]
    assert found.is_fine
    assert re.match(
        r"all-turbo\.safetensors is a .*whole and finite; all-turbo.* is distilled", found.detail
    )
    # Other tools are sent to a folder, which all of them read.
    settings = trainer_settings(catalogue, STYLE)
    assert (Path(settings.base) / "model_index.json").is_file()


def test_all_faults_are_in_one_message(catalogue: Catalogue) -> None:
    root = catalogue.project.root
    fp16_only(root)
    broken_scorer(root)
    with pytest.raises(StyledagError) as raised:
        require_ready(catalogue, STYLE, [], CPU)
    assert len(str(raised.value).splitlines()) == 2


def test_a_missing_reader_of_text_is_named_before_a_run_of_the_images(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(overlaid_text, "version", version)
    images = ("raw_images", "jpeg_images", "curated_images")
    require_ready(catalogue, STYLE, [], CPU, assets=images)
    edit(catalogue.project.root, r"curation: \{", "curation: {max_letters: 8, ")
    with pytest.raises(StyledagError, match=r"max_letters needs rapidocr.*styledag\[text\]"):
        require_ready(Catalogue(catalogue.project), STYLE, [], CPU, assets=images)


def test_what_a_person_wrote_is_read_before_the_run(catalogue: Catalogue) -> None:
    root = catalogue.project.root
    edit(root, r"curation: \{", "curation: {review: data/review.csv, ")
    images = ("raw_images", "jpeg_images")
    require_ready(Catalogue(catalogue.project), STYLE, [], CPU, assets=images)
    for assets in ((), (*images, "curated_images")):
        with pytest.raises(StyledagError, match=r"review\.csv: the review cannot be read"):
            require_ready(Catalogue(catalogue.project), STYLE, [], CPU, assets=assets)
    (root / "data" / "review.csv").write_text("verdict;image\nkeep;a.png\n", "utf-8")
    require_ready(Catalogue(catalogue.project), STYLE, [], CPU)


def test_an_unchanged_style_is_checked_once_and_a_changed_one_again(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_ready(catalogue, STYLE, [], CPU)
    with monkeypatch.context() as patched:
        patched.setattr("styledag.graph.checking.preflight.mismatches", None)
        require_ready(catalogue, STYLE, [], CPU)
    edit(catalogue.project.root, "a rocket", LONG)
    with pytest.raises(StyledagError, match="161 tokens"):
        require_ready(catalogue, STYLE, [], CPU)


def test_a_base_that_was_damaged_meanwhile_is_checked_again(catalogue: Catalogue) -> None:
    require_ready(catalogue, STYLE, [], CPU)
    BAD["nan"][0](catalogue.project.root)
    with pytest.raises(StyledagError, match="NaN"):
        require_ready(catalogue, STYLE, [], CPU)


def test_doctor_finds_nan_by_its_tensor_and_an_unreachable_source(catalogue: Catalogue) -> None:
    root = catalogue.project.root
    BAD["nan"][0](root)
    edit(root, r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:1")
    failed = [each for each in check_style(catalogue, STYLE, [], CPU) if not each.is_fine]
    nan, source = failed
    assert "tensor 'conv_in.bias'" in nan.detail
    assert "http://127.0.0.1:1/category/animals cannot be read" in source.detail


@pytest.mark.parametrize(
    ("settings", "package"),
    [
        ("lora: {rank: 2}", "peft"),
        ("lora: {rank: 2, base_bits: 8}", "bitsandbytes"),
        ("optimizer: adamw_8bit", "bitsandbytes"),
        ("loggers: [tensorboard, trackio]", "trackio"),
    ],
)
def test_a_missing_package_is_named_before_any_model_is_looked_at(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, settings: str, package: str
) -> None:
    edit(catalogue.project.root, "batch_size: 8", f"batch_size: 8\n    {settings}")
    monkeypatch.setitem(sys.modules, package, None)
    shutil.rmtree(catalogue.project.root / "base")
    with pytest.raises(StyledagError, match=rf"{package}: pip install 'styledag\["):
        require_ready(catalogue, STYLE, (), CPU)


def test_a_logger_without_its_account_is_refused_at_the_start(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = SimpleNamespace(
        __spec__=ModuleSpec("wandb", None),
        setup=lambda: SimpleNamespace(settings=SimpleNamespace(mode="online")),
        login=lambda **_: False,
    )
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    edit(catalogue.project.root, "batch_size: 8", "batch_size: 8\n    loggers: [wandb]")
    with pytest.raises(StyledagError, match="not logged in: run `wandb login`"):
        require_ready(catalogue, STYLE, (), CPU)
    failed = [each.subject for each in check_style(catalogue, STYLE, [], CPU) if not each.is_fine]
    assert failed == [f"{STYLE}: wandb"]


def test_an_endpoint_that_does_not_answer_is_found_by_doctor(catalogue: Catalogue) -> None:
    endpoint = "endpoint: {url: 'http://127.0.0.1:1/v1', model: x}"
    edit(catalogue.project.root, r"captioner: \{model: [^}]*/blip\}", endpoint)
    (finding,) = [each for each in check_style(catalogue, STYLE, [], CPU) if not each.is_fine]
    assert finding.subject == f"{STYLE}: captioner"
    assert "does not answer" in finding.detail


@pytest.mark.parametrize("assets", [(), ("raw_images", "captions")], ids=["all", "some"])
def test_a_file_that_a_style_names_and_that_is_not_there_is_refused_at_the_start(
    catalogue: Catalogue, assets: tuple[str, ...]
) -> None:
    edit(catalogue.project.root, "(?m)^captions:$", "captions:\n  overrides: absent.csv")
    with pytest.raises(
        StyledagError, match=r"absent\.csv: the captions cannot be read.*or write the CSV"
    ):
        require_ready(catalogue, STYLE, (), CPU, assets=assets)
    (finding,) = [each for each in check_style(catalogue, STYLE, [], CPU) if not each.is_fine]
    assert finding.subject == f"{STYLE}: absent.csv"


@pytest.mark.parametrize("fault", [RuntimeError, AttributeError])
def test_kernels_that_do_not_work_here_are_found_before_anything_is_collected(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    """As bitsandbytes fails whose library for this CUDA is missing: when it is called."""

    class Failing(torch.optim.AdamW):
        def step(self, _closure: object = None) -> None:  # type: ignore[override]
            raise fault("Configured CUDA binary not found at libbitsandbytes_cuda130.so\nmore")

    optim = SimpleNamespace(AdamW8bit=Failing)
    there = {"bitsandbytes": True}
    monkeypatch.setattr(packages_check, "find_spec", there.get)
    monkeypatch.setitem(sys.modules, "bitsandbytes", SimpleNamespace(optim=optim))
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", optim)
    edit(catalogue.project.root, "batch_size: 8", "batch_size: 8\n    optimizer: adamw_8bit")
    with pytest.raises(
        StyledagError,
        match=r"bitsandbytes does not work on cpu \(Configured .*cuda130.so\): install",
    ):
        require_ready(catalogue, STYLE, (), CPU)
