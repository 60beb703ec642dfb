import json
import re
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from styledag.captions.settings import CaptionSettings, EndpointSettings
from styledag.models.reference import ModelReference

ENDPOINT = EndpointSettings(url="http://localhost:8000/v1", model="qwen")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"captioner": ModelReference(model="org/blip", revision="abc")}, "org/blip@abc"),
        ({"captioner": ModelReference(model="/home/me/models/blip")}, "blip"),
        ({"endpoint": ENDPOINT}, "qwen"),
        ({"endpoint": ENDPOINT, "sources": ("title",)}, ""),
        ({"sources": ("title",)}, ""),
    ],
)
def test_the_captioner_has_a_name_that_gives_no_path_away(settings, name: str) -> None:
    assert CaptionSettings(**settings).captioner_name == name


def test_the_examples_of_the_documentation_can_be_read() -> None:
    page = Path(__file__).parents[2] / "docs" / "captions.md"
    examples = re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        stated = json.dumps(yaml.safe_load(example)["captions"])
        assert TypeAdapter(CaptionSettings).validate_json(stated).captioner is not None


@pytest.mark.parametrize("url", ["http://[my site]/v1", "http://", "https:///v1"])
def test_an_endpoint_needs_a_host(url: str) -> None:
    with pytest.raises(ValueError, match="names no host"):
        EndpointSettings(url=url, model="qwen")
