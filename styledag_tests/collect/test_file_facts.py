"""Licence and author are those of the repository that a file is in, not those of the wiki."""

import pytest

from styledag.errors import SourceError, may_pass
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import Reply, Site, serving
from styledag_tests.collect.test_mediawiki import COMMONS, collect, file, notes
from styledag_tests.collect.wikis import Category, WikiData, serving_wiki

TEXT = "{{Information|author=B. Drawer}}\n== Licensing ==\n{{CC0}}"


def wiki(**repositories: str) -> WikiData:
    return WikiData(
        files={
            "Own.png": file("own"),
            "Fox.png": file("fox", repository="commons"),
            "Owl.png": file("owl", repository="commons"),
        },
        categories={"Fruit": Category(files=("Own.png", "Fox.png", "Owl.png"))},
        repositories=repositories,
        limit=50,
    )


@pytest.mark.parametrize("version", ["1.26", "1.43"])
def test_a_shared_repository_is_asked_for_its_files(workspace: Workspace, version: str) -> None:
    there = WikiData(
        files={"Fox.png": file("fox", metadata=COMMONS), "Owl.png": file("", text=TEXT)},
        limit=50,
    )
    with (
        serving_wiki(there) as commons,
        serving_wiki(wiki(commons=f"{commons.url}/api.php"), version) as site,
    ):
        manifest = collect(site, workspace, licence="CC BY 4.0", author="Us")
        asked = len(commons.questions)
    found = {row.origin.title: (row.origin.licence, row.origin.author) for row in manifest.rows}
    assert found == {
        "Own": ("CC BY 4.0", "Us"),
        "Fox": ("CC BY-SA 4.0", "A. Painter"),
        "Owl": ("CC0", "B. Drawer"),
    }
    assert asked == 1


def test_a_repository_that_does_not_say_leaves_the_licence_unknown(workspace: Workspace) -> None:
    with serving({}) as other, serving_wiki(wiki(commons=f"{other.url}/api.php")) as site:
        manifest = collect(site, workspace, licence="CC BY 4.0", author="Us")
    found = {row.origin.title: (row.origin.licence, row.origin.author) for row in manifest.rows}
    assert found == {
        "Own": ("CC BY 4.0", "Us"),
        "Fox": ("unknown", ""),
        "Owl": ("unknown", ""),
    }
    assert "2 files are in the shared repository commons" in notes(workspace)


def test_a_repository_that_fails_for_now_publishes_nothing(workspace: Workspace) -> None:
    class Down(Site):
        def answer(self, path: str) -> Reply:
            self.asked[path] += 1
            return Reply(b"", 503)

    with (
        serving({}, Down({})) as other,
        serving_wiki(wiki(commons=f"{other.url}/api.php")) as site,
        pytest.raises(SourceError) as caught,
    ):
        collect(site, workspace)
    assert may_pass(caught.value)


def test_where_the_wiki_states_no_repository_it_is_beside_the_page(workspace: Workspace) -> None:
    there = WikiData(files={"Fox.png": file("fox", metadata=COMMONS)})
    with serving_wiki(there) as commons:
        commons.below = "/w"
        data = wiki()
        page = {"descriptionurl": f"{commons.url}/wiki/File:Fox.png"}
        data.files["Fox.png"] = file("fox", repository="commons", info=page)
        data.files["Owl.png"] = file("owl", repository="commons", info=page)
        with serving_wiki(data) as site:
            manifest = collect(site, workspace)
    found = {row.origin.title: row.origin.licence for row in manifest.rows}
    assert found == {"Own": "unknown", "Fox": "CC BY-SA 4.0", "Owl": "unknown"}
