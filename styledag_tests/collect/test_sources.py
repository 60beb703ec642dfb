"""A source is a settings class and a module; nothing else has to know it."""

import sys
import typing
from dataclasses import dataclass
from pathlib import Path

import pytest

from styledag.collect.collect import collect_images
from styledag.collect.harvest import Harvest
from styledag.collect.records import Origin
from styledag.collect.settings import SourceSettings
from styledag.collect.sources import collector_of
from styledag.collect.stored import stored_image
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG


@dataclass(frozen=True)
class ToySource:
    """One image, made on the spot."""

    mark: str
    type: str = "toy"

    @property
    def name(self) -> str:
        return f"toy {self.mark}"


def collect_toy(source: ToySource, workspace: Workspace, *, project: Path) -> Harvest:
    origin = Origin(url=source.mark)
    body = PNG + source.mark.encode()
    return Harvest((stored_image(body, origin, workspace, max_bytes=1_000),), ())


def test_a_new_source_needs_its_settings_and_its_function_alone(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "styledag.collect.toy", sys.modules[__name__])
    sources = [ToySource("a"), ToySource("b")]
    manifest = collect_images(sources, workspace, project=tmp_path)  # type: ignore[arg-type]
    assert [row.origin.url for row in manifest.rows] == ["a", "b"]


def test_every_source_of_the_style_file_has_its_collector() -> None:
    for settings in typing.get_args(SourceSettings):
        [kind] = typing.get_args(typing.get_type_hints(settings)["type"])
        source = settings.__new__(settings)
        object.__setattr__(source, "type", kind)
        assert collector_of(source).__module__ == f"styledag.collect.{kind}"
