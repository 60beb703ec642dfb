"""The settings that the documentation shows are ones that a style file may have."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from styledag.collect.settings import FetchSettings, HtmlSource, NearImage
from styledag.style.model import Source

DOCUMENT = Path(__file__).parents[2] / "docs" / "sources.md"
SOURCES: TypeAdapter[tuple[Source, ...]] = TypeAdapter(tuple[Source, ...])


def examples() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)


def test_every_example_of_the_documentation_can_be_read() -> None:
    kinds = set()
    for example in examples():
        found = yaml.safe_load(example)
        if "fetch" in found:
            TypeAdapter(FetchSettings).validate_python(_tuples(found["fetch"]))
            continue
        kinds |= {each.type for each in SOURCES.validate_python(_tuples(found))}
    assert kinds == {"html", "mediawiki", "urls", "archive", "dataset", "folder"}


def test_a_text_may_be_a_selector_or_near_the_image() -> None:
    adapter = TypeAdapter(HtmlSource)
    plain = {"type": "html", "start": ("https://example.org/",)}
    assert adapter.validate_python(plain).title == "h1"
    found = adapter.validate_python({**plain, "title": {"near": "figcaption"}, "caption": None})
    assert (found.title, found.caption) == (NearImage(near="figcaption"), None)
    for wrong in ({}, {"near": "a", "far": "b"}):
        with pytest.raises(ValidationError):
            adapter.validate_python({**plain, "title": wrong})


def _tuples(value: object) -> object:
    """Return YAML's lists as the tuples that the style file's loader makes of them."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return value
