"""The settings that the documentation shows are ones that a style file may have."""

import json
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
            TypeAdapter(FetchSettings).validate_json(json.dumps(found["fetch"]))
            continue
        kinds |= {each.type for each in SOURCES.validate_json(json.dumps(found))}
    assert kinds == {"html", "mediawiki", "urls", "archive", "dataset", "folder"}


def test_a_text_may_be_a_selector_or_near_the_image() -> None:
    def read(**settings: object) -> HtmlSource:
        found = {"type": "html", "start": ["https://example.org/"], **settings}
        return TypeAdapter(HtmlSource).validate_json(json.dumps(found))

    assert read().title == "h1"
    assert read().caption == NearImage(near="figcaption")
    assert read(title={"near": "figcaption"}).title == NearImage(near="figcaption")
    assert read(caption=None).caption is None
    for wrong in ({}, {"near": "a", "far": "b"}, 5):
        with pytest.raises(ValidationError):
            read(title=wrong)
