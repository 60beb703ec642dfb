"""A list of addresses is read in each of its formats, and every row is taken or counted."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styledag.collect.collect import NOTES, collect_images
from styledag.collect.records import RawImage
from styledag.collect.settings import FetchSettings, UrlsSource
from styledag.collect.urls import listed_images
from styledag.errors import SourceError
from styledag.manifest import Manifest
from styledag.store.digest import LOG_FOLDER
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG, Route, image, serving

FETCH = FetchSettings(delay_s=0, retries=0, timeout_s=60, allow_private_hosts=("127.0.0.1",))


def collect(path: Path, workspace: Workspace, **changes: object) -> Manifest[RawImage]:
    settings = {"fetch": FETCH, "licence": "CC0", **changes}
    source = UrlsSource(type="urls", path=path.name, **settings)  # type: ignore[arg-type]
    return collect_images([source], workspace, project=path.parent)


def write(path: Path, rows: list[dict[str, str]]) -> None:
    names = list(rows[0])
    if path.suffix == ".jsonl":
        path.write_text("\ufeff" + "\n\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        lines = [names, *([f'"{row[name]}"' for name in names] for row in rows)]
        text = "\ufeff" + "".join(mark.join(line) + "\r\n" for line in lines)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".CSV"])
def test_a_list_gives_its_images_with_what_it_says_of_them(
    workspace: Workspace, tmp_path: Path, suffix: str
) -> None:
    routes: dict[str, Route] = {f"/{n}.png": image(PNG + bytes([n])) for n in range(3)}
    with serving(routes) as site:
        rows = [
            {"url": f"{site.url}/0.png", "caption": "A fox, red", "licence": "CC BY 4.0"},
            {"url": f"{site.url}/1.png", "caption": "", "licence": ""},
            {"url": "", "caption": "nothing", "licence": ""},
            {"url": f"{site.url}/9.png", "caption": "gone", "licence": ""},
            {"url": "relative.png", "caption": "", "licence": ""},
            {"url": "file:///etc/passwd", "caption": "", "licence": ""},
        ]
        path = tmp_path / f"list{suffix}"
        write(path, rows)
        manifest = collect(path, workspace)
    assert manifest.facts == {
        "found": 6,
        "kept": 2,
        "rejected_http_404": 1,
        "rejected_no_url": 1,
        "rejected_scheme_refused": 2,
    }
    fox, bare = (row.origin for row in manifest.rows)
    assert (fox.caption, fox.licence) == ("A fox, red", "CC BY 4.0")
    assert (bare.caption, bare.licence) == ("", "CC0")
    assert next(row.subject for row in manifest.rejected if row.reason == "no_url") == (
        f"list{suffix}: row 3"
    )


def test_plain_lines_and_other_columns(workspace: Workspace, tmp_path: Path) -> None:
    with serving({"/0.png": image()}) as site:
        (tmp_path / "list.txt").write_text(f"# mine\n{site.url}/0.png\n\n")
        assert len(collect(tmp_path / "list.txt", workspace).rows) == 1
        (tmp_path / "list.csv").write_text(f"URL,TEXT\n{site.url}/0.png,A fox\n")
        [row] = collect(tmp_path / "list.csv", workspace, url="URL", caption="TEXT").rows
    assert row.origin.caption == "A fox"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", "link\nx\n", r"no column 'url', only link: name the one"),
        ("list.csv", 'url\n"x\n', r"list.csv cannot be read: line 2: unexpected end of data"),
        ("list.csv", 'url,caption\nx,"a "red" fox"\n', "line 2: .* double the quotes"),
        ("list.jsonl", '{"url": {"en": "x"}}', "row 1: column 'url': it is no text, but an object"),
        ("list.csv", "", "names no address"),
        ("list.csv", b"url,caption\nx,caf\xe9", "list.csv is not UTF-8: save it as UTF-8"),
        ("list.jsonl", '{"url": "x"}\n{', "line 2 is not JSON"),
        ("list.jsonl", '["x"]', "line 1 is not an object"),
        ("list.parquet", "PAR1", "list.parquet cannot be read"),
        ("list.doc", "x", r"ends in none of \.csv"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(
    workspace: Workspace, tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SourceError, match=message):
        collect(tmp_path / name, workspace)


def test_a_list_is_divided_and_encoded_as_spreadsheets_do(
    workspace: Workspace, tmp_path: Path
) -> None:
    text = "url;caption;width\nhttp://127.0.0.1:1/0.png;a fox, red;512\n"
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "list.csv").write_text(text, encoding=encoding)
        source = UrlsSource(type="urls", path="list.csv")
        [find], rejected = listed_images(source, tmp_path)
        assert (find.origin.caption, rejected) == ("a fox, red", [])


def test_a_row_with_surplus_cells_is_counted_and_its_caption_is_not_cut(
    workspace: Workspace, tmp_path: Path
) -> None:
    with serving({"/0.png": image(), "/1.png": image()}) as site:
        lines = f"url,caption\n{site.url}/0.png,a fox, red\n{site.url}/1.png,an owl\n"
        (tmp_path / "list.csv").write_text(lines)
        manifest = collect(tmp_path / "list.csv", workspace)
    assert [row.origin.caption for row in manifest.rows] == ["an owl"]
    [rejection] = manifest.rejected
    assert (rejection.subject, rejection.reason) == ("list.csv: row 1", "row_refused")
    assert "double quotes" in rejection.detail


def test_columns_that_are_not_read_are_noted(workspace: Workspace, tmp_path: Path) -> None:
    with serving({"/0.png": image()}) as site:
        (tmp_path / "list.csv").write_text(f"url,TEXT\n{site.url}/0.png,an owl\n")
        collect(tmp_path / "list.csv", workspace)
        with pytest.raises(SourceError, match=r"no column 'words', only url, TEXT: .* of captions"):
            collect(tmp_path / "list.csv", workspace, caption="words")
    notes = (workspace.folder / LOG_FOLDER / NOTES).read_text()
    assert "list.csv: column 'TEXT' is not read" in notes


def test_a_missing_text_is_empty_and_tags_are_one_caption(tmp_path: Path) -> None:
    rows = [
        {"url": "http://a.org/0.png", "caption": float("nan"), "licence": float("nan")},
        {"url": "http://a.org/1.png", "caption": ["1girl", "solo", "red hair"]},
        {"url": "http://a.org/2.png", "caption": [None, "a red fox in snow", "a fox"]},
        {"url": float("nan"), "caption": None},
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    finds, [rejected] = listed_images(UrlsSource(type="urls", path="list.jsonl"), tmp_path)
    assert [find.origin.caption for find in finds] == [
        "",
        "1girl, solo, red hair",
        "a red fox in snow",
    ]
    assert finds[0].origin.licence == "unknown"
    assert (rejected.subject, rejected.reason) == ("list.jsonl: row 4", "no_url")


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("list.jsonl", '["http://a.org/0.png", "http://a.org/1.png", null]'),
        ("list.jsonl", '"http://a.org/0.png, http://a.org/1.png"'),
        ("list.csv", '"http://a.org/0.png,http://a.org/1.png"'),
        ("list.csv", "http://a.org/0.png | http://a.org/1.png"),
        ("list.tsv", "http://a.org/0.png http://a.org/1.png"),
    ],
)
def test_each_address_in_a_cell_is_an_image(tmp_path: Path, name: str, cell: str) -> None:
    is_json = name.endswith("jsonl")
    mark = "\t" if name.endswith("tsv") else ","
    row = f'{{"url": {cell}, "caption": "A fox"}}' if is_json else f"{cell}{mark}A fox"
    (tmp_path / name).write_text(row if is_json else f"url{mark}caption\n{row}\n")
    finds, _ = listed_images(UrlsSource(type="urls", path=name), tmp_path)
    assert [(find.origin.url, find.origin.caption) for find in finds] == [
        (f"http://a.org/{at}.png", "A fox") for at in range(2)
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://a.org/fetch/w_300,q_80/https://b.org/1.png",
        "http://a.org/?image=https://b.org/1.png&sizes=1,2",
        "http://a.org/a%20b,c;d%7Ce.png",
    ],
)
def test_an_address_inside_another_is_a_part_of_it(tmp_path: Path, url: str) -> None:
    (tmp_path / "list.txt").write_text(url)
    [find], _ = listed_images(UrlsSource(type="urls", path="list.txt"), tmp_path)
    assert find.origin.url == url


def test_what_is_no_address_costs_its_own_row(workspace: Workspace, tmp_path: Path) -> None:
    wrong = ["http://[my site]/x.jpg", "http://[::1", "http://a.b:port/q.jpg", "https://h:99999/"]
    with serving({"/0.png": image()}) as site:
        write(
            tmp_path / "list.csv",
            [{"url": url, "page_url": "http://[p]/"} for url in (*wrong, f"{site.url}/0.png")],
        )
        manifest = collect(tmp_path / "list.csv", workspace)
    assert len(manifest.rows) == 1
    assert [(each.reason, each.subject) for each in manifest.rejected] == [
        ("invalid_url", url) for url in sorted(wrong)
    ]


def test_half_of_a_surrogate_pair_costs_one_character(workspace: Workspace, tmp_path: Path) -> None:
    with serving({"/0.png": image()}) as site:
        rows = {"url": f"{site.url}/0.png", "caption": "a fox \ud83e", "author": "\udd8a x"}
        (tmp_path / "list.jsonl").write_text(json.dumps(rows))
        [row] = collect(tmp_path / "list.jsonl", workspace).rows
    assert (row.origin.caption, row.origin.author) == ("a fox \ufffd", "\ufffd x")


def test_a_missing_list_is_named(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no-list\.csv cannot be read"):
        collect(tmp_path / "no-list.csv", workspace)


def test_an_image_of_two_sources_is_noted(workspace: Workspace, tmp_path: Path) -> None:
    with serving({"/0.png": image()}) as site:
        for name in ("a.csv", "b.csv"):
            (tmp_path / name).write_text(f"url,caption\n{site.url}/0.png,{name}\n")
        sources = [UrlsSource(type="urls", path=name, fetch=FETCH) for name in ("a.csv", "b.csv")]
        [row] = collect_images(sources, workspace, project=tmp_path).rows
    assert row.origin.caption == "a.csv"
    notes = (workspace.folder / LOG_FOLDER / NOTES).read_text()
    assert "b.csv: 1 images are in an earlier source too, whose words count" in notes
