"""`styledag doctor` says of each kind of source what is there, before a run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from styledag.collect.probe import ask_source
from styledag.collect.settings import (
    DatasetSource,
    FetchSettings,
    FolderSource,
    HtmlSource,
    MediaWikiSource,
    UrlsSource,
)
from styledag.errors import SourceError
from styledag_tests.collect.servers import PNG, Reply, image, page, serving
from styledag_tests.collect.wikis import VERSIONS, Category, WikiData, serving_wiki

FETCH = FetchSettings(delay_s=0, retries=0, timeout_s=60, allow_private_hosts=("127.0.0.1",))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a.png", "image/png"),
        ("/none.png", r"cannot be had: the server answers 404 \(http_404\)"),
        ("/closed/a.png", r"cannot be had: robots.txt forbids it \(robots_refused\)"),
    ],
)
def test_of_a_list_the_first_address_is_asked(tmp_path: Path, path: str, found: str) -> None:
    routes = {"/a.png": image(), "/robots.txt": Reply(b"User-agent: *\nDisallow: /closed/")}
    with serving(dict(routes)) as site:
        (tmp_path / "a.csv").write_text(f"url\n{site.url}{path}\n{site.url}/b.png\n")
        source = UrlsSource(type="urls", path="a.csv", fetch=FETCH)
        seen = ask_source(source, project=tmp_path)
        assert set(site.asked) <= {path, "/robots.txt"}
    assert seen.startswith("2 addresses on 1 hosts; the first: ")
    assert re.search(found, seen)


def test_a_list_without_its_column_fails_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("URL\nhttp://example.org/a.png\n")
    with pytest.raises(SourceError, match="has no column 'url', only URL"):
        ask_source(UrlsSource(type="urls", path="a.csv", fetch=FETCH), project=tmp_path)


def test_a_page_that_declines_the_use_of_its_images_fails_before_the_run(tmp_path: Path) -> None:
    meta = '<meta name="robots" content="noindex,follow">'  # DokuWiki's, on pages of a few days
    with serving({"/": page(f"{meta}<img src=a.png>")}) as site:
        source = HtmlSource(type="html", start=(f"{site.url}/",), image="img", fetch=FETCH)
        with pytest.raises(SourceError, match=f"the page {site.url}/ asks for noindex, so a run"):
            ask_source(source, project=tmp_path)
        willing = replace(source, fetch=replace(FETCH, opt_outs=("noai",)))
        assert ask_source(willing, project=tmp_path) == "1 matches of 'img' on its first page"


@pytest.mark.parametrize("version", VERSIONS)
def test_categories_are_counted_and_a_missing_one_is_said(tmp_path: Path, version: str) -> None:
    data = WikiData(
        categories={
            "Animals": Category(subcats=("Foxes", "Owls")),
            "Foxes": Category(files=("a.png", "b.png")),
        }
    )
    with serving_wiki(data, version) as site:
        source = MediaWikiSource(
            type="mediawiki",
            api=f"{site.url}/api.php",
            categories=("Animals", "Foxes", "Nowhere"),
            fetch=FETCH,
        )
        seen = ask_source(source, project=tmp_path)
    assert seen == (
        "Category:Animals: 0 files and 2 subcategories, Category:Foxes: 2 files, "
        "Category:Nowhere: no such category"
    )


def test_a_dataset_on_the_hub_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    known = {"id": "a/b", "sha": commit, "siblings": [{"rfilename": "train.parquet"}]}
    routes = {
        f"/api/datasets/a/b/revision/{commit}": Reply(
            json.dumps(known).encode(), content_type="application/json"
        )
    }
    with serving(dict(routes)) as site:
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", site.url)
        there = DatasetSource(type="dataset", path="a/b", revision=commit)
        assert ask_source(there, project=tmp_path) == f"1 files at {commit}"
        gone = DatasetSource(type="dataset", path="a/b", revision="main")
        with pytest.raises(
            SourceError, match=r"dataset 'a/b' at revision 'main' cannot be had .*check its name"
        ):
            ask_source(gone, project=tmp_path)


def test_of_a_folder_the_images_are_counted_and_one_without_any_is_refused(tmp_path: Path) -> None:
    source = FolderSource(type="folder", path="mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("a fox")
    with pytest.raises(SourceError, match="none of the 1 files of folder mine is an image"):
        ask_source(source, project=tmp_path)
    (tmp_path / "mine" / "a.png").write_bytes(PNG)
    assert ask_source(source, project=tmp_path) == "1 images in 2 files"
