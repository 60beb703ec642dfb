"""Models: found in folders, refused with a sentence, versioned by content alone."""

import shutil
from pathlib import Path

import pytest

from styledag.errors import ModelError, StorageError
from styledag.models.reference import ModelReference, ResolvedModel, named_in, resolve_model
from styledag.store.store import Store
from styledag.tensors.layout import WEIGHTS_FILE


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for part, content in (("unet", "u"), ("vae", "v")):
        folder = tmp_path / "model" / part
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / WEIGHTS_FILE).write_text(content)
    (tmp_path / "model" / "model_index.json").write_text("{}")
    return tmp_path


def test_the_version_is_that_of_the_content_wherever_it_lies(project: Path, store: Store) -> None:
    shutil.copytree(project / "model", project / "elsewhere" / "copy")
    here, there = (
        resolve_model(ModelReference(model=name), project=project, items=store.items)
        for name in ("model", "elsewhere/copy")
    )
    assert here.version == there.version
    assert here.as_input("base").identity == there.as_input("base").identity


def test_a_changed_file_changes_the_version_of_its_part_alone(project: Path, store: Store) -> None:
    def versions() -> list[str]:
        reference = ModelReference(model="model")
        return [
            resolve_model(reference, project=project, items=store.items, parts=[part]).version
            for part in ("unet", "vae")
        ]

    before = versions()
    (project / "model" / "unet" / WEIGHTS_FILE).write_text("changed")
    after = versions()
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_files_that_are_not_read_have_no_part_in_the_version(project: Path, store: Store) -> None:
    def versions() -> list[str]:
        reference = ModelReference(model="model")
        return [
            resolve_model(reference, project=project, items=store.items, parts=parts).version
            for parts in (["unet"], [""])
        ]

    before = versions()
    stem = "diffusion_pytorch_model"
    further = ("fp16.safetensors", "non_ema.safetensors", "bin")
    for name in (*(f"{stem}.{each}" for each in further), "README.md", "training.log.jsonl"):
        (project / "model" / "unet" / name).write_text("not read")
    (project / "model" / "all-in-one.safetensors").write_text("not read")
    assert versions() == before


def test_a_variant_is_read_by_plain_names_and_has_the_version_of_its_content(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    shutil.copytree(project / "model", project / "both")
    (project / "both" / "unet" / WEIGHTS_FILE).write_text("main")
    variant = project / "both" / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    variant.write_text("u")
    plain, chosen = (
        resolve_model(reference, project=project, items=store.items, parts=["unet"])
        for reference in (
            ModelReference(model="model"),
            ModelReference(model="both", variant="fp16"),
        )
    )
    assert chosen.version == plain.version
    assert (chosen.folder / "unet" / WEIGHTS_FILE).read_text() == "u"
    assert sorted(path.name for path in (chosen.folder / "unet").iterdir()) == [
        "config.json",
        WEIGHTS_FILE,
    ]
    assert (chosen.folder / "model_index.json").is_file()
    # Training asks for the shape of latents, and reads no weights of the autoencoder.
    assert [path.name for path in (chosen.folder / "vae").iterdir()] == ["config.json"]


def test_a_cache_that_cannot_be_written_is_named(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "file").write_text("no folder")
    unet = project / "model" / "unet"
    (unet / WEIGHTS_FILE).rename(unet / "diffusion_pytorch_model.fp16.safetensors")
    reference = ModelReference(model="model", variant="fp16")
    for cache in ("/proc/no/assets", str(project / "file")):
        monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", cache)
        with pytest.raises(StorageError, match=rf"the Hub's cache, {cache} \(HF_HOME names"):
            resolve_model(reference, project=project, items=store.items, parts=["unet"])


def test_hidden_files_have_no_part_in_the_version(project: Path, store: Store) -> None:
    reference = ModelReference(model="model")
    before = resolve_model(reference, project=project, items=store.items).version
    (project / "model" / ".DS_Store").write_text("a desktop's business")
    assert resolve_model(reference, project=project, items=store.items).version == before


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (ModelReference(model="nowhere"), "no folder or file of the project"),
        (ModelReference(model="org/name"), "with its revision"),
        (ModelReference(model="model", revision="main"), "has no revision"),
        (ModelReference(model="empty"), "holds no files"),
    ],
)
def test_what_cannot_be_found_is_said(
    project: Path, store: Store, reference: ModelReference, said: str
) -> None:
    (project / "empty").mkdir()
    with pytest.raises(ModelError, match=said):
        resolve_model(reference, project=project, items=store.items)


def test_a_hub_that_cannot_be_reached_is_said(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    reference = ModelReference(model="org/name", revision="main")
    with pytest.raises(ModelError, match=r"'org/name' at revision 'main' cannot be had"):
        resolve_model(reference, project=project, items=store.items)


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        (ModelReference(model="a/b", revision="refs/pr/1"), ("a/b", "refs/pr/1", "")),
        (ModelReference(model="a/b", revision="v1", denoiser="x/c.d.safetensors"),
         ("a/b", "v1", "x/c.d.safetensors")),
        (ModelReference(model="base", denoiser="/home/ada/c.sft"), ("base", "", "/home/ada/c.sft")),
        (ModelReference(model="c++@home/b"), ("c++@home/b", "", "")),
    ],
)  # fmt: skip
def test_an_input_names_model_revision_and_denoiser(
    tmp_path: Path, reference: ModelReference, named: tuple[str, str, str]
) -> None:
    (tmp_path / "c++@home" / "b").mkdir(parents=True)
    partition = ResolvedModel(reference, tmp_path, "v").as_input("base").partition
    assert named_in(partition, tmp_path) == named
