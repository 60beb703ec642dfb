"""What a run made, in a notebook and in somebody else's Dagster asset."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch
from diffusers import StableDiffusionPipeline

import styledag
from styledag.errors import ArtifactMissingError, LineageError
from styledag.graph.catalogue import Catalogue
from styledag_tests.bases.loading import load_unet
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.small_project import MODEL, STYLE


@pytest.mark.parametrize(
    ("name", "asset", "partition", "unet"),
    [
        (MODEL, "ema_unet", MODEL, "unet"),
        (f"{MODEL}@1", "checkpoint", f"{MODEL}/e001", "unet"),
        (f"{MODEL}@e001", "checkpoint", f"{MODEL}/e001", "unet"),
        (f"{MODEL}:0.5", "merged_unet", f"{MODEL}/0.50", "."),
    ],
)
def test_a_model_loads_as_a_pipeline_that_draws(
    undisturbed: Undisturbed, name: str, asset: str, partition: str, unet: str
) -> None:
    pipeline = styledag.load(name, project=undisturbed.project.root)

    assert isinstance(pipeline, StableDiffusionPipeline)
    stored = Catalogue(undisturbed.project).store.require(asset, partition)
    expected = load_unet(stored.folder / unet, subfolder="").state_dict()
    read = pipeline.unet.state_dict()
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[key], each.float()) for key, each in expected.items())
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline("a cat face", num_inference_steps=1).images[0].size == (64, 64)


@pytest.mark.parametrize("dtype", ["bf16", torch.bfloat16])
def test_a_model_loads_in_a_dtype_as_diffusers_has_it(
    undisturbed: Undisturbed, dtype: str | torch.dtype
) -> None:
    pipeline = styledag.load(MODEL, project=undisturbed.project.root, dtype=dtype)
    assert {each.dtype for each in (pipeline.unet, pipeline.vae)} == {torch.bfloat16}


def test_a_style_loads_as_its_dataset(undisturbed: Undisturbed) -> None:
    loaded = styledag.load(STYLE, project=undisturbed.project.styles_folder)

    facts = Catalogue(undisturbed.project).store.require("image_dataset", STYLE).facts
    assert loaded["train"].num_rows == facts["train"]
    assert loaded["validation"].num_rows == facts["validation"]
    assert loaded["train"][0]["image"].size == (64, 64)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("nobody", ArtifactMissingError),
        ("nobody.full", ArtifactMissingError),
        (f"{MODEL}@77", ArtifactMissingError),
        (f"{MODEL}:2", LineageError),
    ],
)
def test_what_was_never_made_is_refused_by_name(
    undisturbed: Undisturbed, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"nobody|small"):
        styledag.load(name, project=undisturbed.project.root)


def _materialised(undisturbed: Undisturbed, asset: dg.AssetsDefinition, keys: list[str]) -> Any:
    """Return what an asset that reads blends makes of them."""
    blends = dg.AssetSpec(
        ["hiroshige", "merged_unet"], partitions_def=dg.StaticPartitionsDefinition(keys)
    )
    manager = styledag.StyleIOManager(project=str(undisturbed.project.root))
    result = dg.materialize(
        [asset, blends], resources={"styles": manager, "io_manager": dg.InMemoryIOManager()}
    )
    return result.output_for_node(asset.op.name)


def test_an_asset_of_other_code_is_given_a_pipeline(undisturbed: Undisturbed) -> None:
    @dg.asset(
        ins={
            "blend": dg.AssetIn(
                ["hiroshige", "merged_unet"],
                input_manager_key="styles",
                partition_mapping=dg.SpecificPartitionsPartitionMapping([f"{MODEL}@0.50"]),
            )
        }
    )
    def parameters(blend: Any) -> int:
        return sum(each.numel() for each in blend.unet.parameters())

    counted = _materialised(undisturbed, parameters, [f"{MODEL}@0.00", f"{MODEL}@0.50"])

    base = load_unet(Catalogue(undisturbed.project).store.require("ema_unet", MODEL).folder)
    assert counted == sum(each.numel() for each in base.parameters())


def test_an_asset_that_asks_for_paths_is_given_folders(undisturbed: Undisturbed) -> None:
    keys = [f"{MODEL}@0.00", f"{MODEL}@0.50"]

    @dg.asset(ins={"blends": dg.AssetIn(["hiroshige", "merged_unet"], input_manager_key="styles")})
    def folders(blends: dict[str, Path]) -> dict[str, bool]:
        return {key: (folder / "config.json").is_file() for key, folder in blends.items()}

    assert _materialised(undisturbed, folders, keys) == dict.fromkeys(keys, True)


def test_the_io_manager_stores_nothing(undisturbed: Undisturbed) -> None:
    @dg.asset(io_manager_key="styles")
    def other() -> int:
        return 1

    with pytest.raises(dg.DagsterInvariantViolationError, match="other: StyleIOManager only loads"):
        _materialised(undisturbed, other, [MODEL])
