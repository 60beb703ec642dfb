"""The graph as Dagster sees it: the design's edges, and a reader who never saw the code."""

from pathlib import Path

import dagster as dg
import pytest

from styledag.defs.code_location import build_definitions
from styledag.graph.catalogue import Catalogue
from styledag.graph.stage import Reads
from styledag_tests.whole.small_project import STYLE, make_project

EDGES = {
    "style": set(),
    "raw_images": set(),
    "jpeg_images": {"raw_images"},
    "curated_images": {"jpeg_images"},
    "captions": {"curated_images"},
    "image_dataset": {"captions"},
    "encoded_dataset": {"image_dataset"},
    "ema_unet": {"encoded_dataset"},
    "checkpoint": {"encoded_dataset"},
    "merged_unet": {"ema_unet", "checkpoint"},
    "vae_decoder": {"encoded_dataset", "image_dataset"},
    "merged_vae": {"vae_decoder"},
    "merged_parts": {"ema_unet"},
    "sample_grid": {"merged_unet", "merged_parts", "merged_vae"},
    "sweep": {"ema_unet", "merged_vae"},
    "evolution": {"ema_unet", "checkpoint", "merged_vae"},
    "denoising": {"ema_unet", "merged_vae"},
    "scores": {
        "ema_unet",
        "checkpoint",
        "merged_unet",
        "merged_parts",
        "sample_grid",
        "sweep",
        "evolution",
        "image_dataset",
        "encoded_dataset",
    },
    "model_report": {
        "ema_unet",
        "merged_unet",
        "merged_parts",
        "merged_vae",
        "sample_grid",
        "sweep",
        "evolution",
        "denoising",
        "scores",
    },
    "published_dataset": {"image_dataset"},
    "published_model": {
        "ema_unet",
        "merged_unet",
        "merged_parts",
        "merged_vae",
        "sample_grid",
        "scores",
    },
}
PUBLISHED = "checkpoint"
GROUPS = {"images", "training", "blends", "results", "publishing", "style_file"}


@pytest.fixture
def definitions(tmp_path: Path, starter: Path) -> dg.Definitions:
    return build_definitions(make_project(tmp_path, starter, "http://127.0.0.1:1"))


def test_it_loads_whatever_single_styles_ask_for(tmp_path: Path, starter: Path) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    plain = (project.styles_folder / f"{STYLE}.yaml").read_text("utf-8")
    further = "publish: {to: folder, models: out}\nblends: {sweep: [0.3], "
    asked = plain.replace("blends: {", further)
    (project.styles_folder / "asked.yaml").write_text(asked, "utf-8")
    definitions = build_definitions(project)
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    for asset in ("sweep", "published_model"):
        declared = graph.get(dg.AssetKey(asset)).partitions_def
        assert declared is not None
        assert declared.get_partition_keys() == ["asked.full"]


def test_the_graph_has_the_edges_of_the_design(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    edges = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    settings = {f"style_file/{asset}": set() for asset in EDGES if asset != PUBLISHED}
    expected = {
        asset: read if asset == PUBLISHED else {*read, f"style_file/{asset}"}
        for asset, read in EDGES.items()
    }
    assert edges == {**expected, **settings}


def test_nothing_asks_for_what_another_asset_publishes(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    made = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert made == EDGES.keys() - {PUBLISHED}


def test_every_asset_explains_itself(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.group_name in GROUPS
        assert spec.kinds
        assert spec.owners
        assert spec.code_version or spec.group_name == "style_file"
        assert spec.partitions_def is not None


def test_what_computes_runs_in_the_pool_of_the_gpu(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    pools = {key.to_user_string(): graph.get(key).pools for key in graph.get_all_asset_keys()}
    assert {name for name, pool in pools.items() if pool == {"gpu"}} == {
        "curated_images",
        "captions",
        "encoded_dataset",
        "ema_unet",
        "vae_decoder",
        "sample_grid",
        "sweep",
        "evolution",
        "denoising",
        "scores",
    }


def test_a_style_maps_to_its_models(tmp_path: Path, starter: Path) -> None:
    from styledag.defs.partitions import read_partitions

    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    second = (project.styles_folder / f"{STYLE}.yaml").read_text("utf-8")
    (project.styles_folder / "second.yaml").write_text(
        second.replace("  full:\n", "  attention:\n    trained: attention\n"), "utf-8"
    )
    partitions = read_partitions(project)
    stages = Catalogue(project).stages
    style, model, blend = (stages[each] for each in ("style", "ema_unet", "merged_unet"))
    models, blends = partitions.definition(model), partitions.definition(blend)
    assert models.get_partition_keys() == ["second.attention", f"{STYLE}.full"]
    for upstream, downstream, expected in (
        (style, model, {f"{STYLE}.full"}),
        (style, blend, {f"{STYLE}.full@{weight}" for weight in ("0.00", "0.50", "1.00")}),
    ):
        mapping = partitions.mapping(upstream, downstream, Reads(upstream.name))
        assert mapping is not None
        mapped = mapping.get_downstream_partitions_for_partitions(
            partitions.definition(style).subset_with_partition_keys([STYLE]),
            partitions.definition(style),
            partitions.definition(downstream),
        )
        assert set(mapped.get_partition_keys()) == expected
    up = partitions.mapping(blend, model, Reads(blend.name))
    assert up is not None
    read = up.get_upstream_mapped_partitions_result_for_partitions(
        models.subset_with_partition_keys(["second.attention"]), models, blends
    ).partitions_subset
    assert {key.split("@")[0] for key in read.get_partition_keys()} == {"second.attention"}
