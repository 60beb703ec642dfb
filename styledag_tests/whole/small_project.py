"""A whole project, small: 24 images of the demo's wiki, the starter, a few training steps."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.defs.runs import Materialised, run_step, steps_of
from styledag.graph.catalogue import Catalogue
from styledag.models.compute import ComputeSettings
from styledag.progress import SilentProgress
from styledag.project import Project

STYLE = "small"
MODEL = f"{STYLE}.full"
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "animals": (
        "monkey-face", "dog-face", "cat-face", "tiger-face", "horse-face", "cow-face", "pig-face",
        "octopus", "spiral-shell", "bug",
    ),
    "food": ("grapes", "melon", "watermelon", "tangerine", "lemon", "banana", "pineapple"),
    "clocks": (
        "clock-face-one-oclock", "clock-face-two-oclock", "clock-face-three-oclock",
        "clock-face-four-oclock", "clock-face-five-oclock", "clock-face-six-oclock",
        "clock-face-seven-oclock",
    ),
}  # fmt: skip

STYLE_FILE = """\
description: A small style.
base: {{model: {starter}/stable-diffusion}}
sources:
  - type: html
    start: ["{wiki}/category/animals", "{wiki}/category/food", "{wiki}/category/clocks"]
    next_page: a.next
    item_link: a.item
    image: img.artwork
    title: h1.title
    licence: a.licence
    author: dd.author
    fetch: {{delay_s: 0, allow_private_hosts: [127.0.0.1]}}
images: {{size_px: 64, mode: pad}}
curation: {{embedding: pixels, family_similarity: 0.93, family_cap: 3}}
captions:
  sources: [override, captioner]
  captioner: {{model: {starter}/blip}}
  num_beams: 1
  max_new_tokens: 8
dataset: {{validation_share: 0.2}}
recipes:
  full:
    epochs: 2
    batch_size: 8
    ema: {{mode: base, base_share: 0.3}}
    save_state_every_steps: 1
blends: {{weights: [0.0, 0.5, 1.0]}}
samples:
  prompts: [a cat face, a rocket]
  seeds: [0, 1]
  scheduler: ddim
  num_inference_steps: 4
  guidance_scale: 3.0
scores:
  scorer: {{model: {starter}/clip}}
  loss_images: 3
  classifier: {{model: {starter}/judge, label: twemoji, prompts: [a cat face]}}
"""


def make_project(root: Path, starter: Path, wiki_url: str) -> Project:
    """Write a project's files into an empty folder."""
    styles = root / "data" / "styles"
    styles.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[2] / "dagster.yaml", root)
    text = STYLE_FILE.format(starter=starter, wiki=wiki_url)
    (styles / f"{STYLE}.yaml").write_text(text, encoding="utf-8")
    return Project.at(root)


def edit(project: Project, find: str, replace: str) -> None:
    """Replace a text that the style file contains."""
    path = project.styles_folder / f"{STYLE}.yaml"
    text = path.read_text("utf-8")
    assert find in text
    path.write_text(text.replace(find, replace), "utf-8")


@dataclass(frozen=True)
class Outcome:
    """What a run of everything said."""

    materialised: tuple[Materialised, ...]

    @property
    def work(self) -> dict[str, dict[str, int]]:
        """What was really done, by asset and kind; only assets that did anything."""
        done: dict[str, dict[str, int]] = {}
        for each in self.materialised:
            for name, count in each.metadata.items():
                if name.startswith("did_"):
                    kinds = done.setdefault(each.asset, {})
                    kind = name.removeprefix("did_")
                    kinds[kind] = kinds.get(kind, 0) + count
        return done

    @property
    def versions(self) -> dict[tuple[str, str], str]:
        """Version by asset and partition."""
        return {
            (each.asset, each.partition): each.metadata["version"] for each in self.materialised
        }

    def of(self, asset: str, partition: str | None = None) -> Mapping[str, Any]:
        """Return the metadata of one materialisation."""
        return next(
            each.metadata
            for each in self.materialised
            if each.asset == asset and partition in (None, each.partition)
        )


def run_all(project: Project, style: str = STYLE) -> Outcome:
    """Bring a style up to date, in this process, as the command line does."""
    definitions = build_definitions(
        project,
        progress_of=lambda _, __: SilentProgress(),
        compute=ComputeSettings(device="cpu"),
    )
    done: list[Materialised] = []
    with open_history(project.root) as instance:
        for step in steps_of(Catalogue(project), style):
            done += run_step(definitions, instance, step)
    return Outcome(tuple(done))
