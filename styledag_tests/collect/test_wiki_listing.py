"""What a source names of a wiki is listed, no further than is taken, and by names however spelt."""

from dataclasses import replace
from typing import Any

import pytest

from styledag.store.workspace import Workspace
from styledag_tests.collect.test_mediawiki import COMMONS, FETCH, collect, file, notes, titles
from styledag_tests.collect.wikis import VERSIONS, WikiData, WikiFile, serving_wiki


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("listed", [{"all_images": True}, {"search": ("fruit",)}])
def test_a_large_wiki_is_listed_no_further_than_images_are_taken(
    workspace: Workspace, version: str, listed: dict[str, Any]
) -> None:
    data = WikiData(
        files={f"Fruit {at:03d}.png": file(str(at), metadata=COMMONS) for at in range(60)}
    )
    data.files["Fruit 000.ogg"] = WikiFile(mime="application/ogg")
    fetch = replace(FETCH, max_images=4, max_pages=15)
    with serving_wiki(data, version) as site:
        found = collect(site, workspace, fetch=fetch, exclude=("fruit 00[13]*",), **listed)
    assert titles(found) == [f"Fruit 00{at}" for at in (0, 2, 4, 5)]
    reasons = {row.subject: row.reason for row in found.rejected}
    assert reasons.pop(next(iter(listed.get("search", ("all_images",))))) == "over_max_images"
    assert set(reasons.values()) == {"excluded"}
    assert "more are listed" in notes(workspace)


def test_a_search_is_taken_as_far_as_the_wiki_lists_its_results(workspace: Workspace) -> None:
    data = WikiData(files={f"Fruit {at}.png": file(str(at)) for at in range(9)}, most_results=6)
    with serving_wiki(data) as site:
        found = collect(site, workspace, search=("fruit",))
    assert titles(found) == [f"Fruit {at}" for at in range(6)]
    [left_out] = found.rejected
    assert (left_out.subject, left_out.reason) == ("fruit", "search_ended")
    assert "search for more exact words" in notes(workspace)


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        ({"exclude": ("*icon*",)}, {"Fox.JPG"}),
        ({"include": ("*.jpg",)}, {"Fox.JPG"}),
        ({"include": ("icon_of*",)}, {"Icon of a fox.png"}),
        ({"exclude": ("File:Fox*",)}, {"Icon of a fox.png"}),
    ],
)
def test_a_pattern_means_a_name_however_it_is_spelt(
    workspace: Workspace, patterns: dict[str, Any], kept: set[str]
) -> None:
    data = WikiData(files={name: file(name) for name in ("Icon of a fox.png", "Fox.JPG")})
    with serving_wiki(data) as site:
        found = collect(site, workspace, all_images=True, **patterns)
    assert {row.origin.url.rpartition("/")[2].replace("_", " ") for row in found.rows} == kept


def test_where_a_file_is_from_is_not_its_author(workspace: Workspace) -> None:
    credit = {"LicenseShortName": "CC0", "Credit": "<span>Own work</span>"}
    data = WikiData(
        files={
            "own.png": file("own", metadata=credit),
            "by.png": file("by", metadata={**credit, "Attribution": "Ann, ESA"}),
        }
    )
    with serving_wiki(data) as site:
        rows = collect(site, workspace, all_images=True, author="Bob").rows
    assert {row.origin.title: row.origin.author for row in rows} == {"own": "Bob", "by": "Ann, ESA"}
