"""Of a model's files only those that are read are chosen, and what cannot be read is refused."""

import json

import pytest

from styledag.errors import ModelError
from styledag.models.files import Listing, files_read

STABLE_DIFFUSION_1_5 = [
    ".gitattributes",
    "README.md",
    "model_index.json",
    "v1-5-pruned-emaonly.ckpt",
    "v1-5-pruned-emaonly.safetensors",
    "v1-5-pruned.ckpt",
    "v1-5-pruned.safetensors",
    "v1-inference.yaml",
    "feature_extractor/preprocessor_config.json",
    "safety_checker/config.json",
    "safety_checker/model.fp16.safetensors",
    "safety_checker/model.safetensors",
    "safety_checker/pytorch_model.bin",
    "safety_checker/pytorch_model.fp16.bin",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/model.safetensors",
    "text_encoder/pytorch_model.bin",
    "text_encoder/pytorch_model.fp16.bin",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.bin",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.bin",
    "vae/diffusion_pytorch_model.fp16.bin",
    "vae/diffusion_pytorch_model.fp16.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
]
"""All files of stable-diffusion-v1-5/stable-diffusion-v1-5 on the Hub."""
PIPELINE = ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
INDEX = {
    "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
}


def listing(names: list[str], **contents: object) -> Listing:
    def read(name: str) -> bytes:
        return json.dumps(contents["index"]).encode()

    return Listing.of_names(names, "org/name", read)


def test_of_stable_diffusion_1_5_only_what_is_read() -> None:
    assert set(files_read(listing(STABLE_DIFFUSION_1_5), PIPELINE)) == {
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }


def test_a_part_is_no_other_part_whose_name_starts_alike() -> None:
    further = ["tokenizer_2/tokenizer_config.json", "tokenizer_2/vocab.json"]
    there = listing([*STABLE_DIFFUSION_1_5, *further])
    assert {name.split("/")[0] for name in files_read(there, ["tokenizer"])} == {"tokenizer"}
    assert set(files_read(there, ["tokenizer_2"])) == set(further)


def test_a_variant_has_plain_names() -> None:
    chosen = files_read(listing(STABLE_DIFFUSION_1_5), ["unet", "tokenizer"], variant="fp16")
    assert {name: plain for name, plain in chosen.items() if name != plain} == {
        "unet/diffusion_pytorch_model.fp16.safetensors": "unet/diffusion_pytorch_model.safetensors"
    }
    assert "unet/diffusion_pytorch_model.safetensors" not in chosen


def test_of_a_whole_pipeline_no_single_file_and_of_a_model_its_own() -> None:
    whole = set(files_read(listing(STABLE_DIFFUSION_1_5), [""]))
    assert {name for name in whole if name.endswith(("safetensors", "ckpt", "bin"))} == {
        f"{part}/{name}.safetensors"
        for part, name in (
            ("safety_checker", "model"),
            ("text_encoder", "model"),
            ("unet", "diffusion_pytorch_model"),
            ("vae", "diffusion_pytorch_model"),
        )
    }
    clip = [
        "config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "onnx/model.onnx",
        "vocab.json",
    ]
    assert set(files_read(listing(clip), [""])) == {
        "config.json",
        "model.safetensors",
        "vocab.json",
    }


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_are_those_of_the_index(variant: str | None) -> None:
    suffix = f".{variant}" if variant else ""
    index = f"unet/diffusion_pytorch_model.safetensors.index{suffix}.json"
    shards = [f"unet/model-0000{at}-of-00002.safetensors" for at in (1, 2)]
    names = ["unet/config.json", index, *shards, "unet/model-00003-of-00003.safetensors"]
    if variant:
        names.append("unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors")
    chosen = files_read(listing(names, index=INDEX), ["unet"], variant=variant)
    assert chosen == {
        "unet/config.json": "unet/config.json",
        index: "unet/diffusion_pytorch_model.safetensors.index.json",
        **{shard: shard for shard in shards},
    }
    with pytest.raises(ModelError, match=r"org/name/unet/model-00002.* is missing, but .*\(1 of 2"):
        files_read(listing([*names[:3], *names[4:]], index=INDEX), ["unet"], variant=variant)


def test_where_both_are_there_each_library_gets_what_it_prefers() -> None:
    names = {
        "unet": [
            "diffusion_pytorch_model.safetensors",
            "diffusion_pytorch_model.safetensors.index.json",
        ],
        "text_encoder": ["model.safetensors", "model.safetensors.index.json"],
    }
    shards = set(INDEX["weight_map"].values())
    for part, beside in names.items():
        files = [f"{part}/{name}" for name in ("config.json", *beside, *shards)]
        read = files_read(listing(files, index=INDEX), [part])
        assert (f"{part}/model-00001-of-00002.safetensors" in read) == (part == "unet")
        assert (f"{part}/{beside[0]}" in read) == (part == "text_encoder")


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([], "org/name/unet has no weights"),
        (
            ["diffusion_pytorch_model.bin"],
            r"as diffusion_pytorch_model\.bin only, which is a pickle.*save_pretrained",
        ),
        (["model.ckpt"], r"as model\.ckpt only, which is a pickle"),
        (["model.onnx"], r"has only model\.onnx, which is not read"),
        (["weights.safetensors"], r"has only weights\.safetensors, which is not read"),
        (
            ["diffusion_pytorch_model.fp16.safetensors"],
            r"as variant fp16 only .*: set variant: fp16",
        ),
    ],
)
def test_weights_that_cannot_be_read_are_refused_with_the_remedy(
    weights: list[str], said: str
) -> None:
    names = ["unet/config.json", *(f"unet/{name}" for name in weights)]
    with pytest.raises(ModelError, match=said):
        files_read(listing(names), ["unet"])


def test_a_variant_or_a_part_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ModelError, match="no safetensors of variant 'fp8'"):
        files_read(listing(STABLE_DIFFUSION_1_5), ["unet"], variant="fp8")
    with pytest.raises(ModelError, match=r"has no folder 'transformer' \(there: feature_extractor"):
        files_read(listing(STABLE_DIFFUSION_1_5), ["transformer"])


def test_a_part_without_the_variant_is_read_without_it() -> None:
    names = [
        name
        for name in STABLE_DIFFUSION_1_5
        if not name.startswith("vae/diffusion_pytorch_model.fp16")
    ]
    assert "vae/diffusion_pytorch_model.safetensors" in files_read(
        listing(names), ["vae"], variant="fp16"
    )


@pytest.mark.parametrize(
    ("shard", "index"),
    [
        ("diffusion_pytorch_model.fp16-{}", "diffusion_pytorch_model.safetensors.index.fp16.json"),
        ("diffusion_pytorch_model-{}.fp16", "diffusion_pytorch_model.safetensors.index.fp16.json"),
        ("diffusion_pytorch_model-{}.fp16", "diffusion_pytorch_model.safetensors.fp16.index.json"),
    ],
    ids=["now", "diffusers 0.30", "diffusers 0.29"],
)
def test_shards_of_a_variant_are_read_however_diffusers_named_them(shard: str, index: str) -> None:
    shards = [shard.format(f"{at:05}-of-00002") + ".safetensors" for at in (1, 2)]
    names = ["unet/config.json", f"unet/{index}", *(f"unet/{each}" for each in shards)]
    whole = ["unet/diffusion_pytorch_model.safetensors"]
    weight_map = {"weight_map": dict(zip("ab", shards, strict=True))}

    read = files_read(listing(names + whole, index=weight_map), ["unet"], variant="fp16")

    assert read.keys() == set(names)
    assert read[f"unet/{index}"] == "unet/diffusion_pytorch_model.safetensors.index.json"
