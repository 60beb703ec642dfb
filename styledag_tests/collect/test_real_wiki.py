"""What is taken from a real MediaWiki is what was uploaded to it: run by ``make test-wiki``."""

import hashlib
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from styledag.collect.collect import NOTES, collect_images
from styledag.collect.probe import ask_source
from styledag.collect.records import RawImage
from styledag.collect.settings import FetchSettings, MediaWikiSource
from styledag.errors import SourceError
from styledag.manifest import Manifest
from styledag.store.digest import LOG_FOLDER
from styledag.store.workspace import Workspace
from styledag_tests.collect.real_wiki import NEEDED, Content, RealWiki, Upload, is_installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason=f"no MediaWiki on this machine: {NEEDED}"),
]

FETCH = FetchSettings(delay_s=0, allow_private_hosts=("127.0.0.1",))
ANIMALS, BIRDS, OWLS = 64, 5, 3
STRANGE = (
    "A & B's 100% (x+y), 1.png", "Füchse am Ã.png", "狐と山①.png", "Émile — dessin.png",
    "Semi;colon=equals.png", "Dots...and!marks~.png", "Comma, \"quoted\".png", "🦊.png",
)  # fmt: skip
PAGES_OF_ONE = 24
OTHER_SOURCES = ("webp", "gif", "jpg", "jpeg")
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48">'
    b'<circle cx="30" cy="20" r="15" fill="red"/></svg>'
)
SUMMARY = """== Summary ==
{{Information
|Description={{en|1=A [[fox]] with ''two'' {{w|tails}}}}
|Source={{own}}
|Author=[[User:Ann|Ann & Bob]]
|Permission=
}}
== {{int:license-header}} ==
{{self|cc-by-sa-4.0|GFDL}}
"""


def drawing(seed: int | str, format_: str = "PNG") -> bytes:
    """Some shapes, the same for the same seed."""
    chance = random.Random(seed)
    image = Image.new("RGB", (400, 300), _colour(chance))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        left, top = chance.randrange(300), chance.randrange(200)
        box = (left, top, left + chance.randrange(40, 100), top + chance.randrange(40, 100))
        getattr(pen, chance.choice(["ellipse", "rectangle"]))(box, fill=_colour(chance))
    target = io.BytesIO()
    image.save(target, format_)
    return target.getvalue()


def _colour(chance: random.Random) -> tuple[int, int, int]:
    return chance.randrange(256), chance.randrange(256), chance.randrange(256)


@dataclass(frozen=True)
class Filled:
    wiki: RealWiki
    content: Content

    def source(self, **changes: Any) -> MediaWikiSource:
        return MediaWikiSource(type="mediawiki", api=self.wiki.api, **{"fetch": FETCH, **changes})

    def sha1(self, name: str) -> str:
        return hashlib.sha1(self.content.files[name].body).hexdigest()


def content() -> Content:
    """Drawings in categories, below them, in galleries, behind redirects, with older versions."""
    files = {
        f"Fox {at:02}.png": Upload(body=drawing(at), text=f"{SUMMARY}[[Category:Animals]]")
        for at in range(ANIMALS)
    }
    files |= {
        f"Bird {at}.png": Upload(
            body=drawing(f"bird {at}"),
            text="A bird\n\n== Licensing ==\n{{CC0}}\n[[Category:Birds]]",
        )
        for at in range(BIRDS)
    }
    files |= {
        f"Owl {at}.png": Upload(
            body=drawing(f"owl {at}"),
            text="[[Category:Owls]][[Category:Birds]]",
            older=[drawing(f"old owl {at} {version}") for version in range(2)],
        )
        for at in range(OWLS)
    }
    files |= {
        name: Upload(body=drawing(name), text="[[Category:Tales: Volume One]]") for name in STRANGE
    }
    files |= {
        f"Kind {kind}.{kind}": Upload(
            body=drawing(kind, {"jpg": "JPEG"}.get(kind, kind).upper()), text="[[Category:Kinds]]"
        )
        for kind in OTHER_SOURCES
    }
    files["Told.jpg"] = Upload(body=drawing("told", "JPEG"), text=f"{SUMMARY}[[Category:Kinds]]")
    files["Round.svg"] = Upload(body=SVG, text="[[Category:Kinds]]")
    pages = {
        "Category:Animals": "[[Category:Life]]",
        "Category:Birds": "[[Category:Animals]]",
        "Category:Owls": "[[Category:Birds]]",
        "Category:Life": "[[Category:Owls]]",  # a cycle
        "Category:Empty": "Nothing yet",
        "Category:Tales: Volume One": "",
        "Category:Kinds": "",
        "File:Former fox.png": "#REDIRECT [[File:Fox 01.png]]",
        "Foxes": (
            "<gallery mode=packed>\nFox 00.png|The ''first'' [[fox]]\nFile:Former fox.png|Renamed\n"
            "Image:fox_02.png\nLost.png|Not there\n</gallery>\n[[Category:Guide]]"
        ),
        "Owl": "[[File:Owl 0.png|thumb|A barn owl]]\n[[Category:Guide]]",
        "The owl": "#REDIRECT [[Owl]]",
        "Bare": "No image.\n[[Category:Guide]]",
        **{f"Bird page {at}": f"[[File:Bird {at % BIRDS}.png]]\n[[Category:Many]]"
           for at in range(PAGES_OF_ONE)},
    }  # fmt: skip
    return Content(files, pages)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    wiki = RealWiki(tmp_path_factory.mktemp("wiki") / "wiki")
    uploaded = content()
    wiki.fill(uploaded)
    with wiki.serving():
        yield Filled(wiki, uploaded)


def collect(filled: Filled, workspace: Workspace, **changes: Any) -> Manifest[RawImage]:
    return collect_images([filled.source(**changes)], workspace, project=Path())


def by_title(manifest: Manifest[RawImage]) -> dict[str, RawImage]:
    return {row.origin.title: row for row in manifest.rows}


def notes(workspace: Workspace) -> str:
    return (workspace.folder / LOG_FOLDER / NOTES).read_text()


def names(count: int, kind: str) -> list[str]:
    return [f"{kind} {at:02}" if count > 9 else f"{kind} {at}" for at in range(count)]


def test_a_category_gives_each_of_its_files_once_with_licence_and_author(
    filled: Filled, workspace: Workspace
) -> None:
    manifest = collect(filled, workspace, categories=("Animals",))
    found = by_title(manifest)
    assert manifest.facts == {"found": ANIMALS, "kept": ANIMALS}
    assert sorted(found) == names(ANIMALS, "Fox")
    for title, row in found.items():
        assert row.sha1 == filled.sha1(f"{title}.png")
        assert row.origin.licence == "cc-by-sa-4.0, GFDL"
        assert row.origin.author == "Ann & Bob"
        assert row.origin.description == "A fox with two tails"
    assert "Category:Animals: 64 files, 0 pages, 1 subcategories: set subcategories: 1" in notes(
        workspace
    )


def test_subcategories_are_read_to_their_depth_in_spite_of_a_cycle(
    filled: Filled, workspace: Workspace
) -> None:
    assert len(collect(filled, workspace, categories=("Birds",)).rows) == BIRDS + OWLS
    manifest = collect(filled, workspace, categories=("category:animals",), subcategories=20)
    assert manifest.facts == {"found": ANIMALS + BIRDS + OWLS + 0, "kept": ANIMALS + BIRDS + OWLS}
    assert {row.origin.licence for row in manifest.rows if "Bird" in row.origin.title} == {"CC0"}
    assert {row.origin.description for row in manifest.rows if "Bird" in row.origin.title} == {
        "A bird"
    }
    assert f"{OWLS} images have no licence and {BIRDS + OWLS} no author" in notes(workspace)


def test_only_the_newest_version_of_a_file_is_taken(filled: Filled, workspace: Workspace) -> None:
    found = by_title(collect(filled, workspace, categories=("Owls",), licence="CC BY 1.0"))
    assert sorted(found) == names(OWLS, "Owl")
    for title, row in found.items():
        assert row.sha1 == filled.sha1(f"{title}.png")
        assert row.origin.licence == "CC BY 1.0"


def test_names_of_any_kind_are_asked_for_as_the_wiki_spells_them(
    filled: Filled, workspace: Workspace
) -> None:
    manifest = collect(filled, workspace, categories=("Tales: Volume One",))
    assert manifest.facts == {"found": len(STRANGE), "kept": len(STRANGE)}
    assert {row.sha1 for row in manifest.rows} == {filled.sha1(name) for name in STRANGE}
    assert by_title(manifest).keys() == {Path(name).stem for name in STRANGE}


def test_every_kind_of_image_is_taken_and_svg_as_the_wiki_draws_it(
    filled: Filled, workspace: Workspace
) -> None:
    found = by_title(collect(filled, workspace, categories=("Kinds",), svg_width_px=320))
    assert len(found) == len(OTHER_SOURCES) + 2
    assert {found[f"Kind {kind}"].content_type for kind in OTHER_SOURCES} == {
        "image/webp", "image/gif", "image/jpeg",
    }  # fmt: skip
    told = found["Told"].origin
    assert (told.author, told.licence) == ("A. Painter", "CC BY-SA 4.0")
    assert told.description == "A tower at night in rain"
    with Image.open(io.BytesIO(workspace.blobs.read(found["Round"].sha256))) as rendering:
        assert (rendering.format, rendering.size) == ("PNG", (320, 240))


def test_pages_give_their_files_under_the_galleries_captions(
    filled: Filled, workspace: Workspace
) -> None:
    manifest = collect(filled, workspace, categories=("Guide",))
    found = by_title(manifest)
    assert [row.subject for row in manifest.rejected] == ["File:Lost.png"]
    assert manifest.facts == {"found": 5, "kept": 4, "rejected_file_missing": 1}
    assert {title: row.sha1 for title, row in found.items()} == {
        "The first fox": filled.sha1("Fox 00.png"),
        "Renamed": filled.sha1("Fox 01.png"),
        "Fox 02": filled.sha1("Fox 02.png"),
        "Owl": filled.sha1("Owl 0.png"),
    }
    assert found["Renamed"].origin.page_url == f"{filled.wiki.url}/wiki/Foxes"


def test_many_pages_of_a_category_are_read_to_the_last(
    filled: Filled, workspace: Workspace
) -> None:
    manifest = collect(filled, workspace, categories=("Many",))
    assert {row.sha1 for row in manifest.rows} == {
        filled.sha1(f"Bird {at}.png") for at in range(BIRDS)
    }
    assert f"Category:Many: 0 files, {PAGES_OF_ONE} pages" in notes(workspace)


def test_pages_files_search_and_all_images(filled: Filled, workspace: Workspace) -> None:
    listed = collect(
        filled, workspace, pages=("The owl",), files=("Image:Former fox.png", "fox 05.png")
    )
    assert {row.sha1 for row in listed.rows} == {
        filled.sha1(name) for name in ("Owl 0.png", "Fox 01.png", "Fox 05.png")
    }
    everything = collect(filled, workspace, all_images=True, exclude=("*.svg",))
    assert everything.facts == {
        "found": len(filled.content.files),
        "kept": len(filled.content.files) - 1,
        "rejected_excluded": 1,
    }
    searched = collect(filled, workspace, search=("owl",))
    assert {row.sha1 for row in searched.rows} == {
        filled.sha1(f"{name}.png") for name in names(OWLS, "Owl")
    }


def test_a_second_run_fetches_no_image(filled: Filled, workspace: Workspace) -> None:
    settings = {"categories": ("Kinds", "Birds")}
    first = collect(filled, workspace, **settings)
    workspace.work.clear()
    assert collect(filled, workspace, **settings).rows == first.rows
    assert set(workspace.work) == {"questions"}


def test_what_is_missing_is_named(filled: Filled, workspace: Workspace) -> None:
    with pytest.raises(SourceError, match=r"Category:Nowhere.*Category:Empty|Empty.*Nowhere"):
        collect(filled, workspace, categories=("Nowhere", "Empty"))
    with pytest.raises(SourceError, match=r"0 files, 0 pages, 1 subcategories: set subcat"):
        collect(filled, workspace, categories=("Life",))
    seen = ask_source(filled.source(categories=("Animals", "Nowhere")), project=Path())
    assert "Category:Animals: 64 files" in seen
