"""Questions about lineage that name nothing, and lineages that break off."""

from pathlib import Path

import pytest

from styledag.errors import ArtifactMissingError, LineageError
from styledag.graph.lineage import find_ancestor, sources_first, trace
from styledag.graph.tracing.ancestry import find_artifact
from styledag.store.artifact import Artifact
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace


def write(workspace: Workspace) -> dict[str, int]:
    (workspace.folder / "content").write_text("content")
    return {}


@pytest.mark.parametrize(
    "name", ["twemoji", "twemoji.full@", "twemoji.full@Last", "a.b:2", "a.b:Ema", ""]
)
def test_a_name_of_another_form_is_refused(store: Store, name: str) -> None:
    with pytest.raises(LineageError, match=r"expected STYLE\.RECIPE"):
        find_artifact(store, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.b", "ema_unet of a.b"),
        ("a.b@7", "checkpoint of a.b@e007"),
        ("a.b@e7", "checkpoint of a.b@e007"),
        ("a.b:0.5", "merged_unet of a.b@0.50"),
        ("a.b:ema-0.15", "merged_unet of a.b@ema-0.150"),
    ],
)
def test_what_was_never_made_is_named(store: Store, name: str, said: str) -> None:
    with pytest.raises(ArtifactMissingError, match=said):
        find_artifact(store, name)


def chain(store: Store) -> list[Target]:
    raw = Target(asset="raw_images", partition="a", code_version="1")
    built = store.build(raw, write).artifact
    jpeg = Target(asset="jpeg_images", partition="a", code_version="1", inputs=(built.as_input(),))
    return [raw, jpeg]


def test_a_lineage_names_each_ancestor_once(store: Store) -> None:
    _, jpeg = chain(store)
    artifact = store.build(jpeg, write).artifact
    assert [(each.depth, each.input.name) for each in trace(store, artifact)] == [
        (0, "jpeg_images"),
        (1, "raw_images"),
    ]
    assert find_ancestor(store, artifact, "raw_images").asset == "raw_images"
    with pytest.raises(LineageError, match="came from no captions"):
        find_ancestor(store, artifact, "captions")


def test_the_depth_of_a_diamond_is_the_shortest_way(store: Store) -> None:
    """``d`` reads ``c`` and, first, ``b``, which came from ``c`` over two further steps."""
    made: dict[str, Artifact] = {}
    for name, reads in {"c": "", "x": "c", "y": "x", "b": "y", "d": "bc"}.items():
        inputs = tuple(made[each].as_input() for each in reads)
        target = Target(asset=name, partition="a", code_version="1", inputs=inputs)
        made[name] = store.build(target, write).artifact
    traced = trace(store, made["d"])
    assert [(each.depth, each.input.name) for each in traced] == [
        (0, "d"),
        (1, "b"),
        (1, "c"),
        (2, "y"),
        (3, "x"),
    ]


def test_sources_stand_before_what_came_from_them(store: Store) -> None:
    """A model and a decoder that share their sources: what only the decoder read is not last."""
    made: dict[str, Artifact] = {}
    for name, reads in {"raw": "", "data": "raw", "model": "data", "vae": "data raw"}.items():
        inputs = tuple(made[each].as_input() for each in reads.split())
        target = Target(asset=name, partition="a", code_version="1", inputs=inputs)
        made[name] = store.build(target, write).artifact
    traced = [*trace(store, made["model"]), trace(store, made["vae"])[0]]
    ordered = [each.input.name for each in sources_first(traced)]
    assert ordered == ["raw", "data", "model", "vae"]
    backwards = [each.input.name for each in sources_first(traced[::-1])]
    assert backwards == ["raw", "data", "vae", "model"]


@pytest.mark.parametrize(
    ("name", "asset", "partition"),
    [
        ("a.b@e007", "checkpoint", "a.b/e007"),
        ("a.b@0.50", "merged_unet", "a.b/0.50"),
        ("a.b@ema-0.150", "merged_unet", "a.b/ema-0.150"),
    ],
)
def test_partition_keys_are_names(store: Store, name: str, asset: str, partition: str) -> None:
    built = store.build(Target(asset=asset, partition=partition, code_version="1"), write)
    assert find_artifact(store, name).build == built.artifact.build


def test_a_lineage_that_breaks_off_says_where(store: Store) -> None:
    _, jpeg = chain(store)
    artifact = store.build(jpeg, write).artifact
    for record in Path(store.files.root).glob("builds/raw_images/**/*.json"):
        record.unlink()
    with pytest.raises(LineageError, match="raw_images of a"):
        trace(store, artifact)
