import pytest

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
