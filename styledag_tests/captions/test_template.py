import pytest

from styledag.captions.template import check_template, fill

VALUES = {"caption": "fox", "title": "{alt} [x]", "author": "Ann"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{caption}", "fox"),
        ("a {caption}, {title}", "a fox, {alt} [x]"),
        ("{caption}[ by {author}]", "fox by Ann"),
        ("{caption}[ by {author}, {alt}]", "fox"),
        ("[{alt}: ]{caption}", "fox"),
        ("[sks] {caption}", "[sks] fox"),
        ("{caption} {alt} end", "fox end"),
        ("{caption}[[{author}]]", "fox[Ann]"),
    ],
)
def test_fields_are_filled_in_once(template: str, expected: str) -> None:
    check_template(template)
    assert fill(template, VALUES) == expected


def test_optional_parts_can_be_left_out() -> None:
    assert fill("{caption}[ by {author}]", VALUES, optional=False) == "fox"


@pytest.mark.parametrize("articles", [True, False])
def test_articles_are_fitted_if_asked_for(articles: bool) -> None:
    expected = "an owl" if articles else "a owl"
    assert fill("a {caption}", {"caption": "owl"}, articles=articles) == expected


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a fox", "lacks {caption}"),
        ("[{caption}]", "lacks {caption}"),
        ("a drawing\nof {caption}", "has a line break"),
        ("a drawing of {caption}\n", "has a line break"),
        ("a drawing\u2028of {caption}", "has a line break"),
        ("{caption} {tilte}", "names {tilte}"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused(template: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_template(template)
