from collections.abc import Iterable
from dataclasses import replace

import pytest

from styledag.captions import language
from styledag.captions.records import CaptionedImage
from styledag.store.items import Items
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import captioned_image

ENGLISH = [
    "a red apple on a table",
    "the house by the lake",
    "two cats",
    "woman dancing",
    "fox face",
]
GERMAN = ["roter Apfel", "Haus am See", "zwei Katzen auf einem Dach", "Fahrrad", "Hammer"]
JAPANESE = [
    "赤いリンゴ",
    "神奈川沖浪裏",
    "富嶽三十六景",
    "湖の家と二匹の猫がいる冬の風景画",
    "凱風快晴と山下白雨の図",
]


def captioned(workspace: Workspace, words: list[str], source: str, host: str = "wiki.example"):
    for number, text in enumerate(words):
        row: CaptionedImage = captioned_image(workspace, number)
        origin = replace(row.image.origin, page_url=f"https://{host}/{number}" if host else "")
        yield replace(
            row,
            image=replace(row.image, origin=origin),
            cleaned_caption=text,
            caption=f"a drawing of a {text} in the style of it",
            source=source,
        )


def find_languages(rows: Iterable[CaptionedImage], items: Items | None = None) -> dict[str, str]:
    return language.find_languages(
        ((row.source, row.image.origin.page_url, row.cleaned_caption) for row in rows), items
    )


@pytest.mark.parametrize(
    ("words", "code"), [(ENGLISH, "en"), (GERMAN, "de"), (JAPANESE, "ja")], ids=["en", "de", "ja"]
)
def test_short_captions_are_told_together(
    workspace: Workspace, words: list[str], code: str
) -> None:
    assert find_languages(captioned(workspace, words, "captioner")) == {"captioner": code}


def test_each_site_is_told_by_itself(workspace: Workspace) -> None:
    rows = [
        *captioned(workspace, ENGLISH * 20, "title", "en.example"),
        *captioned(workspace, GERMAN, "title", "de.example"),
        *captioned(workspace, ENGLISH, "caption", ""),
    ]
    found = find_languages(rows)
    assert found.keys() == {"caption", "title of de.example", "title of en.example"}
    assert found["title of de.example"] == "de"
    assert found["title of en.example"] == "en"


def test_words_of_an_address_that_is_none_are_told_too(workspace: Workspace) -> None:
    """Of a list of images, whose pages nobody asks for."""
    rows = captioned(workspace, ENGLISH, "title", host="[my site]")
    assert find_languages(rows) == {"title": "en"}


def test_too_few_words_are_not_told(workspace: Workspace) -> None:
    assert find_languages(captioned(workspace, ["Haus", "№ 5"], "title")) == {}
    assert find_languages([]) == {}


def test_what_is_no_language_is_not_called_one(workspace: Workspace) -> None:
    rows = captioned(workspace, ["xq zvk", "IMG", "DSC", "wxyz qqj"] * 4, "title", "")
    assert find_languages(rows) in ({"title": "und"}, {"title": "en"})


def test_languages_are_told_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(captioned(workspace, GERMAN * 3, "title"))
    told = find_languages(rows, workspace.items)
    assert told == find_languages(rows) == {"title of wiki.example": "de"}

    def load(*_args: object, **_more: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("py3langid.langid.LanguageIdentifier.from_model_file", load)
    assert find_languages(rows, workspace.items) == told
    english = list(captioned(workspace, ENGLISH * 3, "title"))
    with pytest.raises(AssertionError, match="loaded"):
        find_languages(english, workspace.items)
