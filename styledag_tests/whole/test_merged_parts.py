"""Text encoder and autoencoder of a fine-tune made elsewhere, from the style file to images."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import styledag
from styledag.cli.main import cli
from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.preflight import require_ready
from styledag.graph.status import style_status
from styledag.manifest import read_rows
from styledag.models.compute import ComputeSettings
from styledag.project import Project
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag.scoring.records import ScoreRow
from styledag.scoring.score import SCORES
from styledag.store.artifact import Artifact
from styledag.store.store import Store
from styledag.tensors.layout import TRANSFORMERS_WEIGHTS_FILE, WEIGHTS_FILE
from styledag_tests.whole.conftest import Undisturbed, copied
from styledag_tests.whole.small_project import MODEL, STYLE

BLENDS = "blends: {weights: [0.0, 0.5, 1.0]}\n"
FILES = {"text_encoder": TRANSFORMERS_WEIGHTS_FILE, "vae": WEIGHTS_FILE}
SHARES = {"text_encoder": 1.0, "vae": 0.5}
OF_PHOTO = 0.5


@dataclass(frozen=True)
class Ran:
    """A project before and after its mixed blend took over more than denoisers."""

    project: Project
    text: str
    base: Path
    foreign: Path
    before: dict[tuple[str, str], str]
    learned_before: float

    @property
    def store(self) -> Store:
        return Catalogue(self.project).store

    def declare(self, blends: str) -> None:
        path = self.project.styles_folder / f"{STYLE}.yaml"
        path.write_text(f"{self.text}blends: {blends}\n", "utf-8")

    def blends(self, parts: str) -> str:
        photo = f"{{model: {self.foreign}, config: {self.base}}}"
        mixed = f"{{both: {{{MODEL}: 0.25, photo: {OF_PHOTO}}}}}"
        return f"{{weights: [1.0], foreign: {{photo: {photo}}}, mixed: {mixed}{parts}}}"

    def artifact(self, asset: str, key: str) -> Artifact:
        return self.store.require(asset, f"{MODEL}/{key}")


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, starter: Path, undisturbed: Undisturbed
) -> Iterator[Ran]:
    root = tmp_path_factory.mktemp("parts")
    base = starter / "stable-diffusion"
    with copied(undisturbed, root / "project") as project:
        text = (project.styles_folder / f"{STYLE}.yaml").read_text("utf-8")
        assert BLENDS in text
        text = text.replace(BLENDS, "")
        ran = Ran(project, text, base, changed_checkpoint(base, root), {}, 0.0)
        ran.declare(ran.blends(""))
        run()
        for asset in ("merged_unet", "sample_grid"):
            ran.before.update(
                {(asset, key): ran.artifact(asset, key).version for key in ("1.00", "both")}
            )
        object.__setattr__(ran, "learned_before", learned(ran))
        ran.declare(ran.blends(f", parts: {json.dumps(SHARES)}"))
        run()
        yield ran


def changed_checkpoint(base: Path, root: Path) -> Path:
    """Return a checkpoint in one file whose text encoder and autoencoder are its own too."""
    pipeline = root / "pipeline"
    shutil.copytree(base, pipeline)
    random = torch.Generator().manual_seed(0)
    for part, name in {"unet": WEIGHTS_FILE, **FILES}.items():
        path = pipeline / part / name
        tensors = {
            key: each + 0.02 * torch.randn(each.shape, generator=random).to(each.dtype)
            for key, each in load_file(path).items()
        }
        path.chmod(0o644)
        save_file(tensors, path, {"format": "pt"})
    path = root / "photo.safetensors"
    export_single_file(pipeline, path, ModelDescription(title="Photo"), dtype="float32")
    return path


def run() -> None:
    result = CliRunner().invoke(cli, ["run", MODEL, "--device", "cpu"])
    assert result.exception is None, result.output


def learned(ran: Ran) -> float:
    rows = read_rows(ran.store.require("scores", MODEL).folder / SCORES, ScoreRow)
    (row,) = [row for row in rows if row.name == "blend both"]
    assert row.style_learned.value is not None
    return row.style_learned.value


def expected(ran: Ran, part: str) -> dict[str, torch.Tensor]:
    ours = load_file(ran.base / part / FILES[part])
    theirs = load_file(ran.foreign.parent / "pipeline" / part / FILES[part])
    share = OF_PHOTO * SHARES[part]
    return {
        name: each.float() + share * (theirs[name].float() - each.float())
        for name, each in ours.items()
        if not name.endswith("position_ids")
    }


def assert_close(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor.float(), wanted[name], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("part", FILES)
def test_each_part_is_blended_by_its_share_and_states_its_parents(ran: Ran, part: str) -> None:
    path = ran.artifact("merged_parts", "both").folder / part / FILES[part]
    assert_close(load_file(path), expected(ran, part))
    with safe_open(path, "pt") as opened:
        header = opened.metadata()
    read = {each.name: each.version for each in ran.artifact("merged_parts", "both").build.inputs}
    assert header["styledag.base"] == read["base_parts"]
    assert header["styledag.tuned.photo"] == read["foreign.photo"]
    amounts = dict(
        zip(
            json.loads(header["styledag.models"]),
            json.loads(header["styledag.amount"]),
            strict=True,
        )
    )
    assert amounts["photo"] == OF_PHOTO * SHARES[part]


def test_only_what_a_model_from_elsewhere_is_in_is_drawn_anew(ran: Ran) -> None:
    assert not [
        each for each in ran.artifact("merged_parts", "1.00").folder.iterdir() if each.is_dir()
    ]
    for (asset, key), version in ran.before.items():
        is_same = ran.artifact(asset, key).version == version
        assert is_same == ((asset, key) != ("sample_grid", "both")), (asset, key)
    assert not [
        each for each in style_status(Catalogue(ran.project), STYLE) if each.state != "current"
    ]


def test_images_are_those_of_the_pipeline_that_is_handed_out(ran: Ran, tmp_path: Path) -> None:
    pipeline = styledag.load(f"{MODEL}:both", project=ran.project.root)
    assert_close(dict(pipeline.text_encoder.state_dict()), expected(ran, "text_encoder"))
    assert_close(dict(pipeline.vae.state_dict()), expected(ran, "vae"))


def test_scores_tell_the_blend_its_captions_by_its_own_text_encoder(ran: Ran) -> None:
    assert learned(ran) != pytest.approx(ran.learned_before, abs=1e-6)


@pytest.mark.parametrize("form", ["diffusers", "single-file"])
def test_exports_contain_the_blended_parts(ran: Ran, tmp_path: Path, form: str) -> None:
    to = tmp_path / ("both.safetensors" if form == "single-file" else "both")
    arguments = ["export", "model", f"{MODEL}:both", "--format", form, "--dtype", "fp32"]
    result = CliRunner().invoke(cli, [*arguments, "--to", str(to)])
    assert result.exception is None, result.output
    if form == "diffusers":
        for part, name in FILES.items():
            assert_close(load_file(to / part / name), expected(ran, part))
        return
    with safe_open(to, "pt") as opened:
        prefix = "cond_stage_model.transformer.text_model."
        found = {
            name.removeprefix(prefix): opened.get_tensor(name)
            for name in opened.keys()  # noqa: SIM118
            if name.startswith(prefix) and not name.endswith("position_ids")
        }
    assert_close(found, expected(ran, "text_encoder"))


@pytest.mark.parametrize(
    ("blends", "why"),
    [
        ("{parts: {text_encoder: 1}}", "none is named: name one in foreign, or in onto"),
        ("PARTS, parts: {text_encoder: 0}", "but must be above 0, at most 1"),
        ("PARTS, parts: {tokenizer: 1}", "parts.tokenizer is no part of the base .*text_encoder"),
        ("PARTS, parts: {text_encoder_2: 1}", "parts.text_encoder_2 is no part of the base"),
    ],
)
def test_parts_that_cannot_be_blended_are_refused_by_name(ran: Ran, blends: str, why: str) -> None:
    text = ran.project.styles_folder / f"{STYLE}.yaml"
    before = text.read_text("utf-8")
    declared = ran.blends(blends.removeprefix("PARTS")) if "PARTS" in blends else blends
    ran.declare(declared)
    try:
        with pytest.raises(StyledagError, match=why):
            require_ready(Catalogue(ran.project), STYLE, (), ComputeSettings(device="cpu"))
    finally:
        text.write_text(before, "utf-8")


def test_a_model_without_the_part_is_refused_before_anything_runs(ran: Ran, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(ran.base, bare)
    shutil.rmtree(bare / "text_encoder")
    path = ran.project.styles_folder / f"{STYLE}.yaml"
    before = path.read_text("utf-8")
    photo = f"foreign: {{photo: {{model: {bare}}}}}, mixed: {{both: {{{MODEL}: 0.5, photo: 0.5}}}}"
    ran.declare(f"{{{photo}, parts: {{text_encoder: 1}}}}")
    try:
        with pytest.raises(StyledagError, match=r"blends\.foreign\.photo .*text_encoder"):
            require_ready(Catalogue(ran.project), STYLE, (), ComputeSettings(device="cpu"))
    finally:
        path.write_text(before, "utf-8")
