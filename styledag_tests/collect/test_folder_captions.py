import csv
import json
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styledag.collect.collect import collect_images
from styledag.collect.folder_captions import FolderCaptions
from styledag.collect.records import RawImage
from styledag.collect.settings import FolderSource
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG

TEXTS = {"0.png": "a red fox, sitting", "deep/1.png": 'a "blue" fox', "2.png": "\U0001fae9 tired"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    for at, name in enumerate(TEXTS):
        path = images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG + bytes([at]))
    return images


@pytest.fixture
def collect(tmp_path: Path, workspace: Workspace):
    def run() -> Manifest[RawImage]:
        source = FolderSource(type="folder", path="images")
        return collect_images([source], workspace, project=tmp_path)

    return run


def captions(manifest: Manifest[RawImage]) -> dict[str, str]:
    return {row.origin.url: row.origin.caption for row in manifest.rows}


def rows() -> list[dict[str, str]]:
    return [{"file_name": name, "text": text} for name, text in TEXTS.items()]


def as_jsonl(folder: Path) -> None:
    lines = "\r\n".join(json.dumps(row) for row in rows())
    (folder / "metadata.jsonl").write_text(f"\ufeff{lines}\n\n", encoding="utf-8")


def as_csv(folder: Path) -> None:
    with (folder / "metadata.csv").open("w", encoding="utf-16", newline="") as file:
        writer = csv.DictWriter(file, ["file_name", "text"])
        writer.writeheader()
        writer.writerows(rows())


def as_parquet(folder: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), folder / "metadata.parquet")


@pytest.mark.parametrize("write", [as_jsonl, as_csv, as_parquet])
def test_a_table_of_image_folder_gives_the_captions(folder: Path, collect, write) -> None:
    write(folder)
    manifest = collect()
    assert captions(manifest) == TEXTS
    assert not manifest.rejected


def test_a_table_of_a_subfolder_names_files_beside_it(folder: Path, collect) -> None:
    (folder / "deep" / "metadata.jsonl").write_text('{"file_name": "1.png", "caption": "one"}')
    assert captions(collect()) == {"0.png": "", "2.png": "", "deep/1.png": "one"}


@pytest.mark.parametrize("name", ["0.txt", "0.caption", "0.png.txt", "0.TXT"])
def test_a_sidecar_comes_before_the_table_and_is_no_image(folder: Path, collect, name: str) -> None:
    as_jsonl(folder)
    (folder / name).write_bytes(b"\xef\xbb\xbf a fox\r\n  in snow \n")
    manifest = collect()
    assert captions(manifest) == {**TEXTS, "0.png": "a fox\r\n  in snow"}
    assert not manifest.rejected


@pytest.mark.parametrize("text", ["BMW M3, red", "GIF89a is old"])
def test_a_sidecar_that_begins_like_an_image_is_a_text(folder: Path, collect, text: str) -> None:
    (folder / "0.txt").write_text(text)
    manifest = collect()
    assert captions(manifest)["0.png"] == text
    assert len(manifest.rows) == 3


def test_the_json_that_a_downloader_writes_is_a_sidecar(folder: Path, collect) -> None:
    as_jsonl(folder)
    (folder / "0.json").write_text(json.dumps({"url": "https://x.org", "caption": "a  fox"}))
    (folder / "2.json").write_text(json.dumps({"width": 512}))
    (folder / "deep" / "1.json").write_text("{half")
    manifest = collect()
    assert captions(manifest) == {
        "0.png": "a  fox",
        "2.png": TEXTS["2.png"],
        "deep/1.png": TEXTS["deep/1.png"],
    }
    assert [(each.subject, each.reason) for each in manifest.rejected] == [
        ("deep/1.json", "sidecar_refused")
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x" * 100_001, "more than 100000 bytes"),
        (b"caf\xe9", "byte 3 is no UTF-8"),
        (b"\xff\xfeabc", "no UTF-16"),
    ],
)
def test_a_sidecar_that_cannot_be_read_is_counted_and_costs_no_image(
    folder: Path, collect, content: bytes, words: str
) -> None:
    (folder / "0.txt").write_bytes(content)
    manifest = collect()
    assert captions(manifest)["0.png"] == ""
    (rejection,) = manifest.rejected
    assert (rejection.subject, rejection.reason) == ("0.txt", "sidecar_refused")
    assert words in rejection.detail
    assert manifest.facts == {"found": 4, "kept": 3, "rejected_sidecar_refused": 1}


def test_a_sidecar_that_leads_out_of_the_folder_is_not_read(
    tmp_path: Path, folder: Path, collect
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "0.txt").symlink_to(tmp_path / "secret.txt")
    manifest = collect()
    assert "secret" not in captions(manifest).values()
    assert manifest.rejected[0].reason in {"link_refused", "sidecar_refused"}


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        '"text"',
        "{}",
        '{"file_name": 7}',
        '{"file_name": "0.png", "te',
        '{"file_name": "../secret.png", "text": "x"}',
        '{"file_name": "/etc/passwd", "text": "x"}',
    ],
)
def test_a_row_that_cannot_be_meant_is_counted_and_the_others_stay(
    folder: Path, collect, line: str
) -> None:
    as_jsonl(folder)
    path = folder / "metadata.jsonl"
    path.write_text(f"{line}\n{path.read_text(encoding='utf-8-sig')}", encoding="utf-8")
    manifest = collect()
    assert captions(manifest) == TEXTS
    (rejection,) = manifest.rejected
    assert (rejection.subject, rejection.reason) == ("metadata.jsonl", "metadata_refused")
    assert rejection.detail.startswith("row 1: ")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.jsonl", b"{half"),
        ("metadata.jsonl", b"[" * 100_000),
        ("metadata.csv", b'file_name,text\n0.png,"open'),
        ("metadata.csv", b"\xff\xff"),
        ("metadata.parquet", b"PAR1"),
        ("metadata.parquet", b""),
    ],
)
def test_a_broken_table_is_counted_and_costs_no_image(
    folder: Path, collect, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    manifest = collect()
    assert len(manifest.rows) == 3
    assert [(each.subject, each.reason) for each in manifest.rejected] == [
        (name, "metadata_refused")
    ]


def test_a_row_without_its_file_is_counted(folder: Path, collect) -> None:
    (folder / "metadata.csv").write_text("file_name,text\ngone.png,a ghost\n0.png,a fox\n")
    manifest = collect()
    assert [(each.subject, each.reason) for each in manifest.rejected] == [
        ("gone.png", "file_missing")
    ]
    assert captions(manifest)["0.png"] == "a fox"


def test_names_are_found_in_another_case_and_unicode_form(folder: Path, collect) -> None:
    (folder / "Cafe\u0301.PNG").write_bytes(PNG + b"8")
    (folder / "Caf\u00e9.txt").write_text("a cafe")
    (folder / "Zu\u0308rich.png").write_bytes(PNG + b"9")
    (folder / "metadata.csv").write_text("file_name,text\nz\u00fcrich.png,a lake\n")
    manifest = collect()
    assert captions(manifest)["Cafe\u0301.PNG"] == "a cafe"
    assert captions(manifest)["Zu\u0308rich.png"] == "a lake"
    assert not manifest.rejected


def test_a_sidecar_is_that_of_the_image_spelt_so(folder: Path, collect) -> None:
    (folder / "A.png").write_bytes(PNG + b"8")
    (folder / "a.png").write_bytes(PNG + b"9")
    (folder / "a.txt").write_text("small")
    assert {captions(collect())[name] for name in ("A.png",)} == {""}
    assert captions(collect())["a.png"] == "small"


@pytest.mark.parametrize("name", ["0.png", "C:\\\\me\\\\images\\\\0.png", ".\\\\0.png"])
def test_a_table_may_name_its_columns_and_files_as_others_do(
    folder: Path, collect, name: str
) -> None:
    (folder / "metadata.csv").write_text(f"image,prompt\n{name},a fox\n".replace("\\\\", "\\"))
    manifest = collect()
    assert captions(manifest)["0.png"] == "a fox"
    assert not manifest.rejected


def test_a_table_may_be_divided_by_semicolons(folder: Path, collect) -> None:
    (folder / "metadata.csv").write_text("file_name;text\n0.png;a fox, sitting\n")
    assert captions(collect())["0.png"] == "a fox, sitting"


def test_a_row_with_surplus_cells_is_counted_and_its_caption_is_not_cut(
    folder: Path, collect
) -> None:
    (folder / "metadata.csv").write_text("file_name,text\n0.png,a fox, sitting\n2.png,owl\n")
    manifest = collect()
    assert captions(manifest) == {"0.png": "", "2.png": "owl", "deep/1.png": ""}
    [rejection] = manifest.rejected
    assert rejection.detail.startswith("row 1: it has more cells")


@pytest.mark.parametrize(
    ("written", "caption"),
    [
        ({"caption": ["1girl", "solo", "red hair"]}, "1girl, solo, red hair"),
        ({"caption": ["A red fox in snow.", "A fox."]}, "A red fox in snow."),
        ({"text": None, "caption": "a fox"}, "a fox"),
        ({"caption": float("nan")}, ""),
    ],
)
def test_json_gives_the_caption_that_is_meant(
    folder: Path, collect, written: dict[str, object], caption: str
) -> None:
    (folder / "0.json").write_text(json.dumps(written))
    manifest = collect()
    assert captions(manifest)["0.png"] == caption
    assert not manifest.rejected


@pytest.mark.parametrize("write", [as_jsonl, as_csv, as_parquet])
def test_a_table_of_random_damage_costs_no_image(folder: Path, write) -> None:
    write(folder)
    (path,) = folder.glob("metadata.*")
    whole = path.read_bytes()
    random = Random(0)
    files = frozenset(each for each in folder.rglob("*") if each.is_file())
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(random.randint(1, 5)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        path.write_bytes(bytes(damaged[: random.randint(len(damaged) // 2, len(damaged))]))
        captions = FolderCaptions(str(folder), [*map(str, files)])
        texts = [captions.of(str(folder / name)) for name in TEXTS]
        rejected = captions.rejected(lambda path: path)
        for text in (*texts, *(each.detail for each in rejected)):
            text.encode()
        refused += bool(rejected)
    assert refused


def test_each_further_caption_of_a_file_in_tables_is_counted(folder: Path, collect) -> None:
    """As in Flickr30k's tables, which have five rows an image."""
    lines = [("0.png", "a fox"), ("0.png", "an owl"), ("0.png", "a fox"), ("0.png", "a cat" * 40)]
    rows = [json.dumps({"file_name": name, "text": text}) for name, text in lines]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    manifest = collect()
    assert captions(manifest)["0.png"] == "a fox"
    assert {(each.subject, each.reason) for each in manifest.rejected} == {
        ("0.png", "second_caption")
    }
    assert [("an owl" in each.detail, len(each.detail) < 200) for each in manifest.rejected] == [
        (True, True),
        (False, True),
    ]


def test_captions_in_a_folder_of_their_own_are_no_broken_images(folder: Path, collect) -> None:
    (folder / "captions").mkdir()
    (folder / "captions" / "0.txt").write_text("a fox")
    (rejected,) = collect().rejected
    assert (rejected.subject, rejected.reason) == ("captions/0.txt", "text_without_image")
    assert "in the same folder" in rejected.detail
