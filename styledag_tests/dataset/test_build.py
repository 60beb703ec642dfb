import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from styledag.captions.records import CaptionedImage
from styledag.collect.records import Origin
from styledag.dataset.build import build_image_dataset
from styledag.dataset.read import DatasetRow, read_dataset
from styledag.dataset.settings import DatasetSettings
from styledag.dataset.split import split_of
from styledag.errors import DataError, StorageError
from styledag.manifest import Manifest
from styledag.store.digest import folder_digest
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import HOSTILE, captioned_image, captioned_manifest

SETTINGS = DatasetSettings(validation_share=0.2)


@pytest.fixture
def build(workspace: Workspace, tmp_path: Path):
    built = 0

    def run(manifest: Manifest[CaptionedImage], settings: DatasetSettings = SETTINGS):
        nonlocal built
        built += 1
        folder = tmp_path / f"dataset-{built}"
        folder.mkdir()
        facts = build_image_dataset(
            manifest,
            settings,
            replace(workspace, folder=folder),
            style="twemoji",
            description="Flat drawings",
        )
        return folder, facts

    return run


def splits(folder: Path) -> dict[str, str]:
    return {row.id: row.split for row in read_dataset(folder)}


def test_a_fresh_process_reads_it_with_nothing_of_ours(
    workspace: Workspace, build, tmp_path: Path
) -> None:
    manifest = captioned_manifest(workspace, 6)
    folder, _ = build(manifest, DatasetSettings(validation_share=0.0))
    program = (
        "import sys; from datasets import load_dataset; "
        "rows = load_dataset(sys.argv[1], split='train'); "
        "print(rows.column_names[:2], sorted(rows['text']), rows[0]['image'].size); "
        "assert not [name for name in sys.modules if name.startswith('styledag')]"
    )
    command = [sys.executable, "-I", "-c", program, str(folder)]
    environment = {"PATH": "", "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    said = subprocess.run(
        command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    captions = sorted(row.caption for row in manifest.rows)
    assert said.stdout.strip() == f"['image', 'text'] {captions} (64, 64)"


def test_load_dataset_reads_what_was_written(
    workspace: Workspace, build, tmp_path: Path, monkeypatch
) -> None:
    import datasets

    manifest = captioned_manifest(workspace, 30)
    folder, facts = build(manifest)
    (folder / "build.json").write_text("{}")
    (folder / "log").mkdir()
    (folder / "log" / "notes.txt").write_text("no part of the data")
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "hf"))
    assert set(loaded) == {"train", "validation"}
    assert isinstance(loaded["train"].features["image"], datasets.Image)
    assert loaded["train"][0]["image"].size == (64, 64)
    assert {split: len(rows) for split, rows in loaded.items()} == {
        "train": facts["train"],
        "validation": facts["validation"],
    }
    by_id = {row.key: row for row in manifest.rows}
    raw = {
        split: rows.cast_column("image", datasets.Image(decode=False))
        for split, rows in loaded.items()
    }
    seen = [row for rows in raw.values() for row in rows]
    assert {row["id"] for row in seen} == set(by_id)
    for row in seen:
        source = by_id[row["id"]]
        assert row["image"]["bytes"] == workspace.blobs.read(row["id"])
        assert row["text"] == source.caption
        assert row["variants"] == list(source.variants)
        assert row["raw_caption"] == source.raw_caption
        assert row["url"] == source.image.origin.url
        assert row["licence"] == source.image.origin.licence


def test_diffusers_trainer_finds_its_columns_and_one_caption_a_image(
    workspace: Workspace, build, tmp_path: Path
) -> None:
    """As ``train_text_to_image.py`` reads ``--train_data_dir``."""
    import datasets

    folder, _ = build(captioned_manifest(workspace, 30))
    train = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "hf"))["train"]
    assert {"image", "text"} <= set(train.column_names)
    preprocessed = train.with_transform(
        lambda examples: {
            "size": [image.convert("RGB").size for image in examples["image"]],
            "caption_types": [type(caption) for caption in examples["text"]],
        }
    )
    assert set(preprocessed[:]["size"]) == {(64, 64)}
    assert set(preprocessed[:]["caption_types"]) == {str}
    assert {len(variants) for variants in train["variants"]} == {0, 1}


def test_reader_gives_back_images_captions_and_origins(workspace: Workspace, build) -> None:
    manifest = captioned_manifest(workspace, 30)
    folder, facts = build(manifest)
    rows = list(read_dataset(folder))
    assert [row.split for row in rows] == ["train"] * facts["train"] + ["validation"] * facts[
        "validation"
    ]
    for split in ("train", "validation"):
        ids = [row.id for row in rows if row.split == split]
        assert ids == sorted(ids)
    source = next(row for row in manifest.rows if row.key == rows[0].id)
    assert rows[0] == DatasetRow(
        id=source.image.sha256,
        text=source.caption,
        jpeg=workspace.blobs.read(source.image.sha256),
        split="train",
        family=source.image.family,
        origin=source.image.origin,
        caption_source="captioner",
        raw_caption=source.raw_caption,
        original_px=(200, 100),
        crop_px=(32, 0),
        variants=source.variants,
    )


def test_same_images_give_the_same_version(workspace: Workspace, build) -> None:
    first, facts = build(captioned_manifest(workspace, 12))
    second, again = build(captioned_manifest(workspace, 12))
    assert folder_digest(first) == folder_digest(second)
    assert facts == again
    other, _ = build(captioned_manifest(workspace, 13))
    assert folder_digest(other) != folder_digest(first)


def test_more_images_move_no_image(workspace: Workspace, build) -> None:
    few, _ = build(captioned_manifest(workspace, 20))
    many, _ = build(captioned_manifest(workspace, 60))
    assert splits(few).items() <= splits(many).items()
    assert set(splits(few).values()) == {"train", "validation"}


def test_families_lie_whole_in_one_split(workspace: Workspace, build) -> None:
    rows = [
        captioned_image(workspace, number, family=f"family {number // 4}", family_size=4)
        for number in range(80)
    ]
    folder, facts = build(Manifest(tuple(rows)))
    where: dict[str, set[str]] = {}
    for row in read_dataset(folder):
        where.setdefault(row.family, set()).add(row.split)
    assert {len(found) for found in where.values()} == {1}
    assert facts["families"] == 20
    assert facts["validation"] % 4 == 0 < facts["validation"]


def test_without_validation_there_is_no_such_split(
    workspace: Workspace, build, tmp_path: Path
) -> None:
    import datasets

    folder, facts = build(captioned_manifest(workspace, 3), DatasetSettings(validation_share=0))
    assert (facts["train"], facts["validation"]) == (3, 0)
    assert set(datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "hf"))) == {"train"}


def test_nothing_to_train_on_is_refused(workspace: Workspace, build) -> None:
    with pytest.raises(DataError, match="no captioned image"):
        build(Manifest(()))
    families = (f"family {number}" for number in range(99))
    family = next(each for each in families if split_of(each, 0.2) == "validation")
    held_out = captioned_image(workspace, 1, family=family)
    with pytest.raises(DataError, match="validation_share"):
        build(Manifest((held_out,)))


def test_missing_image_is_named(workspace: Workspace, build) -> None:
    gone = "0" * 64
    with pytest.raises(StorageError, match=gone):
        build(
            Manifest((captioned_image(workspace, 1, sha256=gone),)),
            DatasetSettings(validation_share=0),
        )


def test_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no dataset"):
        list(read_dataset(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is no shard"):
        list(read_dataset(tmp_path))


def test_card_counts_and_names(workspace: Workspace, build) -> None:
    folder, facts = build(captioned_manifest(workspace, 10))
    card = (folder / "README.md").read_text(encoding="utf-8")
    _, header, page = card.split("---\n", 2)
    configs = yaml.safe_load(header)["configs"]
    assert [each["split"] for each in configs[0]["data_files"]] == ["train", "validation"]
    assert "# twemoji" in page
    assert "Flat drawings" in page
    assert f"| train | {facts['train']} |" in page
    assert r"| CC\-BY\-4\.0 | 5 |" in page
    assert "| unknown | 5 |" in page
    assert r"| wiki\.example | 10 |" in page
    assert "Taking something down" in page
    assert facts["licences"] == {"CC-BY-4.0": 5, "unknown": 5}


def test_the_card_names_the_captioner_with_its_revision(workspace: Workspace, tmp_path) -> None:
    asked = '["c0ffee/pil",{"num_beams":3}]'
    first, *others = captioned_manifest(workspace, 3).rows
    manifest = Manifest((replace(first, source="captioner", captioner=asked), *others))
    folder = tmp_path / "dataset"
    folder.mkdir()
    build_image_dataset(
        manifest,
        SETTINGS,
        replace(workspace, folder=folder),
        style="twemoji",
        description="Flat drawings",
        captioner="Salesforce/blip@82a37760",
    )
    page = (folder / "README.md").read_text(encoding="utf-8").replace("\\", "")
    assert "Salesforce/blip@82a37760 wrote 1 captions (version and settings: " + asked in page


def test_hostile_text_is_data_in_the_table_and_text_on_the_card(
    workspace: Workspace, build, tmp_path: Path
) -> None:
    import datasets

    origin = Origin(url="https://[broken", title=HOSTILE, licence=HOSTILE, author=HOSTILE)
    hostile = replace(
        captioned_image(workspace, 1, origin=origin), caption=HOSTILE, raw_caption=HOSTILE
    )
    settings = DatasetSettings(validation_share=0, title="A | <b>title</b>")
    folder, _ = build(Manifest((hostile,)), settings)
    row = next(read_dataset(folder))
    assert (row.text, row.origin.title, row.origin.licence) == (HOSTILE,) * 3
    page = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]
    shown = MarkdownIt("commonmark").enable("table").render(page)
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "href" not in shown
    assert "<img" not in shown
    assert shown.count("<h1>") == 1
    assert shown.count("{{ 7*7 }} שלום") == 4
    assert "\x00" not in page
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "hf"))
    assert loaded["train"][0]["text"] == HOSTILE


def test_card_stays_short_with_many_licences(workspace: Workspace, build) -> None:
    rows = [
        captioned_image(workspace, n, origin=Origin(url=f"u{n:03d}", licence=f"licence {n:03d}"))
        for n in range(50)
    ]
    folder, _ = build(Manifest(tuple(rows)))
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "| 30 others | 30 |" in page
    assert "| a folder | 50 |" in page


@pytest.mark.parametrize(
    ("hits", "said"), [((), "none if the style has one template"), (("lines_each",), "its further")]
)
def test_the_card_says_what_variants_are(
    workspace: Workspace, build, hits: tuple[str, ...], said: str
) -> None:
    rows = [replace(captioned_image(workspace, n), rule_hits=hits) for n in range(3)]
    folder, _ = build(Manifest(tuple(rows)))
    (line,) = (
        line
        for line in (folder / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| variants |")
    )
    assert said in line
