"""Captions are shown worst first by the style's scorer, and corrected in a sheet."""

import csv
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from styledag.captions.facts import caption_facts
from styledag.captions.overrides import read_overrides
from styledag.captions.records import CaptionedImage
from styledag.errors import ArtifactMissingError, StyleFileError
from styledag.manifest import Manifest
from styledag.models.compute import ComputeSettings, resolve_compute
from styledag.scoring.embedding_scorer import EmbeddingScorer
from styledag.store.artifact import Facts
from styledag.store.store import Target
from styledag.store.workspace import Workspace
from styledag_tests.captions.review.test_page import Words
from styledag_tests.cli.conftest import Call
from styledag_tests.cli.made_project import MadeProject
from styledag_tests.dataset.captioned import captioned_image
from styledag_tests.whole.small_project import STYLE

LONG = "a long walk " * 200
EDITOR = """\
import csv, sys
path = sys.argv[1]
with open(path, encoding="utf-8-sig", newline="") as file:
    rows = list(csv.DictReader(file))
rows[0]["caption"] = "a person's words"
with open(path, "w", encoding="utf-8-sig", newline="") as file:
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
"""


@pytest.fixture
def rows(made: MadeProject) -> tuple[CaptionedImage, ...]:
    """The captions of the project, one of them longer than the scorer reads."""
    found: list[CaptionedImage] = []

    def body(workspace: Workspace) -> Facts:
        found.extend(captioned_image(workspace, number) for number in range(5))
        found[3] = type(found[3])(**{**vars(found[3]), "caption": LONG})
        manifest = Manifest(tuple(found), ())
        manifest.write(workspace.folder)
        return caption_facts(manifest, Words())

    made.catalogue.store.build(Target(asset="captions", partition=STYLE, code_version="1"), body)
    return tuple(found)


def order_of(made: MadeProject, rows: tuple[CaptionedImage, ...]) -> list[str]:
    """Addresses by the scorer's own similarity."""
    model = made.catalogue.model(made.catalogue.style(STYLE).scores.scorer)
    compute = resolve_compute(ComputeSettings(device="cpu"))
    scorer = EmbeddingScorer(model.folder, model.version, compute)
    images = [Image.open(made.catalogue.store.blobs.path(row.key)) for row in rows]
    short = [row.caption if row.caption != LONG else "a long walk " * 20 for row in rows]
    cosines = np.einsum("nd,nd->n", scorer(images), scorer.embed_texts(short, cut=True))
    for image in images:
        image.close()
    return [rows[at].image.origin.url for at in np.argsort(cosines)]


def test_the_page_shows_the_worst_first(
    call: Call, made: MadeProject, rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "page.html"

    assert "5 of 5 captions" in call("captions", STYLE, "--to", to)

    shown = re.findall(r"https://wiki.example/\d.png", to.read_text("utf-8"))
    assert shown == order_of(made, rows)
    monkeypatch.setattr(EmbeddingScorer, "__call__", lambda *_: pytest.fail("compared again"))
    assert "2 of 5 captions" in call("captions", STYLE, "--to", to, "--most", 2)
    assert re.findall(r"https://wiki.example/\d.png", to.read_text("utf-8")) == shown[:2]


def test_what_a_person_changes_is_an_override(
    call: Call, made: MadeProject, rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_overrides(made)
    (tmp_path / "editor.py").write_text(EDITOR)
    monkeypatch.setenv("VISUAL", shlex.join([sys.executable, str(tmp_path / "editor.py")]))

    said = call("captions", STYLE, "--edit")

    own = made.root / "data" / "own.csv"
    worst = order_of(made, rows)[0]
    assert f"1 captions changed in {own}" in said
    assert read_overrides(own).captions == {worst: "a person's words"}
    assert not list(own.parent.glob("*.sheet.csv"))


def test_a_sheet_without_changes_leaves_a_file_that_a_run_reads(
    call: Call, made: MadeProject, rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_overrides(made)
    monkeypatch.setenv("VISUAL", "true")
    said = call("captions", STYLE, "--edit")
    assert "0 captions changed" in said
    assert read_overrides(made.root / "data" / "own.csv").captions == {}
    # A window of an editor that does not wait still shows it.
    assert "the editor ended at once" in said
    assert (made.root / "data" / "own.sheet.csv").exists()
    monkeypatch.setattr("styledag.cli.captions._AT_ONCE_S", 0)
    assert "at once" not in call("captions", STYLE, "--edit")
    assert not (made.root / "data" / "own.sheet.csv").exists()


def test_a_sheet_with_an_error_stays_to_be_mended(
    call: Call, made: MadeProject, rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_overrides(made)
    (tmp_path / "editor.py").write_text(EDITOR.replace("a person's words", ""))
    monkeypatch.setenv("VISUAL", shlex.join([sys.executable, str(tmp_path / "editor.py")]))
    with pytest.raises(StyleFileError, match=r"own.sheet.csv:2: column caption is empty"):
        call("captions", STYLE, "--edit")
    sheet = made.root / "data" / "own.sheet.csv"
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 5
    (tmp_path / "editor.py").write_text(EDITOR)

    assert "it is opened as it is" in call("captions", STYLE, "--edit")

    assert not sheet.exists()


def test_a_style_without_overrides_or_captions_is_refused(call: Call, made: MadeProject) -> None:
    with pytest.raises(
        StyleFileError, match=r"write `overrides: data/styles/small\.captions\.csv`"
    ):
        call("captions", STYLE, "--edit")
    with pytest.raises(ArtifactMissingError):
        call("captions", STYLE)


def add_overrides(made: MadeProject) -> None:
    path = made.root / "data" / "styles" / f"{STYLE}.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("captions:\n", "captions:\n  overrides: data/own.csv\n"), "utf-8")
