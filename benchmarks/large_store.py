"""A project with many styles in one store: real records, plans and history, cheap content.

Every artifact is planned, built and published by the package's own code, and recorded in Dagster's
history as a run records it. Only the stages' work is replaced: images are one small JPEG under many
names, and weights are a few bytes.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy
from PIL import Image

from styledag.captions.records import CaptionedImage
from styledag.collect.records import Origin, RawImage
from styledag.defs.logged import materialisation
from styledag.defs.metadata import built_metadata, name_tags
from styledag.defs.placement import Placement
from styledag.defs.settings_nodes import observe_settings
from styledag.graph.build import build_planned
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import epoch_key
from styledag.graph.plan import Plan, plan_build
from styledag.graph.snapshots import StoredSnapshot, write_snapshots
from styledag.graph.stage import Inputs, Stage
from styledag.images.records import CuratedImage, JpegImage
from styledag.manifest import Manifest
from styledag.progress import SilentProgress
from styledag.project import Project
from styledag.store.artifact import Facts
from styledag.store.store import Built
from styledag.store.workspace import Workspace
from styledag.training.recipe import Recipe

RECIPE = "full"
_STYLE = """\
description: Style number {number}.
base: {{model: {starter}/stable-diffusion}}
sources:
  - {{type: folder, path: data/images/{name}}}
captions: {{sources: [title]}}
recipes:
  {recipe}: {{epochs: {epochs}, batch_size: 8}}
blends: {{weights: [0.5, 1.0]}}
samples: {{prompts: [a cat], seeds: [0], num_inference_steps: 4, guidance_scale: 3.0}}
scores: {{scorer: {{model: {starter}/clip}}}}
"""
_DAGSTER = """\
storage: {{sqlite: {{base_dir: {root}/data/.dagster}}}}
nux: {{enabled: false}}
telemetry: {{enabled: false}}
"""
_WORKSPACE = """\
load_from:
  - python_module: {module_name: styledag.definitions, location_name: styledag}
"""
Work = Callable[[Inputs, Workspace], Facts]


@dataclass(frozen=True)
class Size:
    """How much there is.

    Attributes:
        styles: Styles, with one model each; half of all images are those of the first.
        checkpoints: Checkpoints of all models together.
        images: Images of all styles together.
    """

    styles: int
    checkpoints: int
    images: int

    @property
    def names(self) -> list[str]:
        """Names of the styles."""
        return [f"style-{number:03d}" for number in range(self.styles)]

    @property
    def images_of(self) -> Mapping[str, int]:
        """Images by style."""
        first, *others = self.names
        each = self.images // 2 // max(1, len(others))
        return {first: self.images - each * len(others), **dict.fromkeys(others, each)}


@dataclass(frozen=True)
class CheapCatalogue(Catalogue):
    """A project whose stages write little.

    Attributes:
        size: How many images a style has.
    """

    size: Size

    @cached_property
    def stages(self) -> Mapping[str, Stage]:
        """Every stage, with other work but for what is cheap already."""
        work = _image_work(self.size.images_of)
        kept = ("style", "image_dataset")
        return {
            name: stage if name in kept else replace(stage, run=work.get(name, partial(_few, name)))
            for name, stage in super().stages.items()
        }


def write_project(root: Path, starter: Path, size: Size) -> Project:
    """Write the files of a project into a folder, which may have them already."""
    styles = root / "data" / "styles"
    styles.mkdir(parents=True, exist_ok=True)
    (root / "dagster.yaml").write_text(_DAGSTER.format(root=root.resolve()), encoding="utf-8")
    (root / "workspace.yaml").write_text(_WORKSPACE, encoding="utf-8")
    epochs = size.checkpoints // size.styles
    for number, name in enumerate(size.names):
        text = _STYLE.format(
            number=number, name=name, starter=starter.resolve(), recipe=RECIPE, epochs=epochs
        )
        (styles / f"{name}.yaml").write_text(text, encoding="utf-8")
    return Project.at(root)


def fill_store(catalogue: CheapCatalogue, instance: dg.DagsterInstance) -> Iterator[str]:
    """Build everything of every style, and yield the name of each style that is done.

    What an earlier call has filled is left as it is.
    """
    for style in catalogue.size.names:
        if catalogue.store.current("model_report", f"{style}.{RECIPE}") is not None:
            continue
        with _without_waiting_for_the_disk():
            for stage, partition in catalogue.walk(style):
                plan = plan_build(catalogue, stage.name, partition)
                built = build_planned(
                    plan,
                    catalogue.store,
                    _no_device,
                    progress=SilentProgress(),
                    on_part=partial(_record, instance),
                )
                _record(instance, plan, built)
        yield style


@contextmanager
def _without_waiting_for_the_disk() -> Iterator[None]:
    """Let SQLite give what it writes to the system and go on."""

    def connected(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", connected)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", connected)


def _no_device() -> Any:
    raise RuntimeError("nothing here is computed")


def _record(instance: dg.DagsterInstance, plan: Plan, built: Built) -> None:
    placement, partition = Placement(), plan.inputs.partition
    tags = name_tags([partition])
    if plan.plan_part is not None or plan.stage.publishes is None:
        key = placement.settings(plan.stage.name)
        tags |= observe_settings(instance, key, partition.key, plan.declared)
    made = materialisation(
        placement.asset(plan.stage.name),
        partition,
        version=built.artifact.version,
        code_version=plan.stage.code_version,
        metadata=built_metadata(plan.stage, built, {}),
        tags=tags,
    )
    instance.report_runless_asset_event(made)


def _image_work(images_of: Mapping[str, int]) -> Mapping[str, Work]:
    jpeg = _jpeg()

    def rows(inputs: Inputs) -> range:
        return range(images_of[inputs.partition.style])

    def collect(inputs: Inputs, workspace: Workspace) -> Facts:
        style = inputs.partition.style
        return _write([_raw(style, at, jpeg, workspace) for at in rows(inputs)], workspace)

    def normalise(inputs: Inputs, workspace: Workspace) -> Facts:
        raw = Manifest.read(inputs.folder("raw_images"), RawImage).rows
        return _write([_normalised(each) for each in raw], workspace)

    def curate(inputs: Inputs, workspace: Workspace) -> Facts:
        jpegs = Manifest.read(inputs.folder("jpeg_images"), JpegImage).rows
        _few("curated_images", inputs, workspace)
        return _write([_curated(each) for each in jpegs], workspace)

    def caption(inputs: Inputs, workspace: Workspace) -> Facts:
        curated = Manifest.read(inputs.folder("curated_images"), CuratedImage).rows
        return _write([_captioned(each) for each in curated], workspace)

    return {
        "raw_images": collect,
        "jpeg_images": normalise,
        "curated_images": curate,
        "captions": caption,
        "ema_unet": _train,
    }


def _jpeg() -> bytes:
    written = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(written, "JPEG")
    return written.getvalue()


def _write(rows: list[Any], workspace: Workspace) -> Facts:
    manifest: Manifest[Any] = Manifest(tuple(rows))
    manifest.write(workspace.folder)
    return manifest.facts


def _raw(style: str, at: int, jpeg: bytes, workspace: Workspace) -> RawImage:
    content = jpeg + f"{style} {at}".encode()
    sha256 = workspace.blobs.put(content)
    return RawImage(
        origin=Origin(url=f"{style}/{at:05d}.jpg", title=f"drawing number {at}"),
        sha256=sha256,
        sha1=sha256[:40],
        size_bytes=len(content),
        content_type="image/jpeg",
    )


def _normalised(raw: RawImage) -> JpegImage:
    return JpegImage(
        origin=raw.origin,
        raw_sha256=raw.sha256,
        sha256=raw.sha256,
        width_px=64,
        height_px=64,
        raw_width_px=64,
        raw_height_px=64,
        crop_left_px=0,
        crop_top_px=0,
        raw_format="JPEG",
    )


def _curated(jpeg: JpegImage) -> CuratedImage:
    return CuratedImage(
        origin=jpeg.origin,
        raw_sha256=jpeg.raw_sha256,
        sha256=jpeg.sha256,
        width_px=64,
        height_px=64,
        raw_width_px=64,
        raw_height_px=64,
        crop_left_px=0,
        crop_top_px=0,
        family=jpeg.sha256,
        family_size=1,
    )


def _captioned(image: CuratedImage) -> CaptionedImage:
    caption = image.origin.title
    return CaptionedImage(
        image=image,
        raw_caption=caption,
        cleaned_caption=caption,
        caption=caption,
        source="title",
        rules_version="1",
        template="{caption}",
    )


def _train(inputs: Inputs, workspace: Workspace) -> Facts:
    recipe: Recipe = inputs.settings["recipe"]
    stored = []
    for epoch in recipe.snapshot_epochs:
        checkpoint = inputs.publish(epoch_key(epoch), epoch)
        stored.append(
            StoredSnapshot(
                epoch=epoch,
                step=epoch,
                loss=1 / epoch,
                validation_loss=None,
                validation_bands=(),
                base_share=0.0,
                partition=checkpoint.partition,
                version=checkpoint.version,
            )
        )
    write_snapshots(stored, stored[-1].epoch, workspace.folder)
    return {"epochs": stored[-1].epoch, "steps": stored[-1].step, "loss": stored[-1].loss}


_IMAGES = {"checkpoint": "thumbnails.png", "sample_grid": "grid.png"}
_PAGES = {"curated_images": "contact_sheet.html", "model_report": "report.html"}


def _few(asset: str, inputs: Inputs, workspace: Workspace) -> Facts:
    """Write what tells one partition from another, and what the web UI shows of it."""
    name = f"{asset} of {inputs.partition.key}"
    (workspace.folder / "content.txt").write_text(name, encoding="utf-8")
    if asset in _IMAGES:
        Image.linear_gradient("L").convert("RGB").save(workspace.folder / _IMAGES[asset])
    if asset in _PAGES:
        (workspace.folder / _PAGES[asset]).write_text(f"<title>{name}</title>", encoding="utf-8")
    return {"loss": 0.5, "bytes": len(name)}
