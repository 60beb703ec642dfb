import ast
from dataclasses import replace
from itertools import pairwise

import pytest
from huggingface_hub import ModelCard as HubCard
from huggingface_hub.utils import HFValidationError, validate_repo_id
from markdown_it import MarkdownIt
from markdown_it.token import Token

from styledag.errors import PublishError
from styledag.publishing.cards.model_card import model_card
from styledag.publishing.cards.records import (
    HUB_ID,
    CardBase,
    CardDataset,
    CardScore,
    ModelCard,
)
from styledag_tests.dataset.captioned import HOSTILE

BASE = CardBase(
    name="stable-diffusion-v1-5/stable-diffusion-v1-5",
    revision="451f4fe16113",
    licence="creativeml-openrail-m",
)
CARD = ModelCard(
    pipeline="StableDiffusionPipeline",
    denoiser="UNet2DConditionModel",
    title="Twemoji",
    description="Flat emoji.",
    relation="finetune",
    bases=(BASE,),
    dataset=CardDataset(
        name="ada/twemoji-images",
        versions=("d" * 64,),
        images={"train": 90, "validation": 10},
        licences={"CC-BY-4.0": 99, "unknown": 1},
    ),
    licence="creativeml-openrail-m",
    repo="ada/twemoji",
    tags=("emoji",),
    prompts=("a fox", "an octopus"),
    grid="samples.jpg",
    recipe={"learning_rate": 1e-5, "epochs": 60, "trained": "attention"},
    scores=(
        CardScore(name="style learned", value=0.41237, low=0.39, high=0.43, meaning="higher"),
        CardScore(name="copies", value=0.0, meaning="share of samples"),
    ),
    lineage={"image_dataset": "d" * 64, "ema_unet": "e" * 64},
)


def tokens(card: str) -> list[Token]:
    """All tokens of the page, those inside lines too."""
    page = card.split("\n---\n", 1)[1]
    found = MarkdownIt("commonmark").enable("table").parse(page)
    return [inner for token in found for inner in (token, *(token.children or ()))]


def cells(card: str) -> list[str]:
    found = tokens(card)
    return [
        following.content
        for token, following in pairwise(found)
        if token.type in {"td_open", "th_open"}
    ]


def test_the_hub_reads_the_model_tree() -> None:
    data = HubCard(model_card(CARD)).data.to_dict()

    assert data == {
        "pipeline_tag": "text-to-image",
        "library_name": "diffusers",
        "tags": ["styledag", "text-to-image", "emoji"],
        "license": "creativeml-openrail-m",
        "base_model": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "base_model_relation": "finetune",
        "datasets": ["ada/twemoji-images"],
        "widget": [{"text": "a fox"}, {"text": "an octopus"}],
    }


def test_the_hub_knows_a_lora_and_its_prompt() -> None:
    recipe = {"instance_prompt": "in flat style"}
    data = HubCard(model_card(replace(CARD, relation="adapter", file="x", recipe=recipe))).data

    assert data.tags == ["styledag", "text-to-image", "lora", "emoji"]
    assert data.to_dict()["base_model_relation"] == "adapter"
    assert data.instance_prompt == "in flat style"


def test_a_merge_names_all_bases() -> None:
    other = CardBase(name="ada/other")

    data = HubCard(model_card(replace(CARD, relation="merge", bases=(BASE, other)))).data

    assert data.base_model == [BASE.name, "ada/other"]
    assert data.to_dict()["base_model_relation"] == "merge"


def test_a_folder_is_no_base_of_the_hub() -> None:
    card = model_card(
        replace(
            CARD,
            bases=(CardBase(name="data/starter/stable-diffusion"),),
            dataset=replace(CARD.dataset, name=""),
        )
    )

    data = HubCard(card).data.to_dict()
    assert not {"base_model", "base_model_relation", "datasets"} & data.keys()
    assert "data\\/starter\\/stable\\-diffusion" in card
    assert "a dataset that is not published" in card


@pytest.mark.parametrize(
    ("licence", "identifier"),
    [
        ("FLUX.1 [dev] Non-Commercial", "flux.1-dev-non-commercial"),
        ("Möbel_2", "m-bel-2"),
        ("私の", "custom"),
    ],
)
def test_a_licence_that_the_hub_does_not_know_gets_an_identifier(
    licence: str, identifier: str
) -> None:
    card = replace(CARD, licence=licence, licence_url="https://example.org/terms")
    assert HubCard(model_card(card)).data.license_name == identifier


@pytest.mark.parametrize(
    "name",
    [
        *("ada/style", "ada/style.git", "ada/a--b", "ada/a..b", "ada/style-", "ada/-x", "ada/.x"),
        *("ada/größe", "ada/style.", "ада/x", "ada/x_", "_ada/x", "ada/a b", "ada", "a/b/c", "/a"),
        *("ada/" + "x" * 90, "ada/" + "x" * 97, "models/style.safetensors", "ada/x.y-z_1", ""),
    ],
)
def test_an_id_is_what_the_hubs_client_permits(name: str) -> None:
    try:
        validate_repo_id(name)
        is_permitted = name.count("/") == 1  # an id without an owner is one of its own
    except HFValidationError:
        is_permitted = False
    assert bool(HUB_ID.fullmatch(name)) == is_permitted


def test_another_licence_is_named_and_linked() -> None:
    card = replace(CARD, licence="twemoji-terms", licence_url="https://example.org/terms")

    data = HubCard(model_card(card)).data.to_dict()

    assert (data["license"], data["license_name"]) == ("other", "twemoji-terms")
    assert data["license_link"] == "https://example.org/terms"


@pytest.mark.parametrize(("relation", "count"), [("finetune", 2), ("adapter", 0), ("merge", 1)])
def test_bases_fit_the_relation(relation, count: int) -> None:
    with pytest.raises(PublishError, match=f"names {count} bases"):
        replace(CARD, relation=relation, bases=(BASE,) * count)


def test_the_page_shows_grid_scores_recipe_lineage_and_licences() -> None:
    card = model_card(CARD)

    (image,) = (token for token in tokens(card) if token.type == "image")
    assert image.attrs["src"] == "samples.jpg"
    shown = " ".join(cells(card)).replace("\\", "")
    for text in ("style learned 0.4124 0.39 to 0.43 higher", "copies 0  share of samples"):
        assert text in shown
    for text in ("epochs 60", "image_dataset " + "d" * 64, "unknown 1", "451f4fe16113"):
        assert text in shown
    links = {token.attrs["href"] for token in tokens(card) if token.type == "link_open"}
    assert links == {
        "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5",
        "https://huggingface.co/datasets/ada/twemoji-images",
    }


def test_the_example_is_python_that_loads_the_model() -> None:
    (fence,) = (token for token in tokens(model_card(CARD)) if token.type == "fence")
    ast.parse(fence.content)
    assert 'from_pretrained("ada/twemoji")' in fence.content

    (fence,) = (
        token
        for token in tokens(model_card(replace(CARD, relation="adapter", file="a.safetensors")))
        if token.type == "fence"
    )
    ast.parse(fence.content)
    assert f"from_pretrained('{BASE.name}')" in fence.content
    assert "load_lora_weights(\"ada/twemoji\", weight_name='a.safetensors')" in fence.content


def test_text_from_outside_is_shown_as_text() -> None:
    hostile = HOSTILE + "\n```\n</details>"
    card = model_card(
        replace(
            CARD,
            title=hostile,
            description=hostile,
            prompts=(hostile,),
            grid='x.jpg) <img src="y">',
            recipe={hostile: hostile},
            scores=(CardScore(name=hostile, value=1.0, meaning=hostile),),
            dataset=replace(CARD.dataset, licences={hostile: 3}),
            bases=(CardBase(name=hostile, revision=hostile, licence=hostile),),
            lineage={hostile: hostile},
            tags=(hostile,),
            file=hostile,
        )
    )

    plain = model_card(replace(CARD, file="x.safetensors", grid=""))
    kinds = {token.type for token in tokens(card)}
    assert not kinds & {"html_inline", "html_block", "image"}
    assert sum(t.type == "heading_open" for t in tokens(card)) == sum(
        t.type == "heading_open" for t in tokens(plain)
    )
    assert sum(t.type == "fence" for t in tokens(card)) == 1
    hrefs = {token.attrs["href"] for token in tokens(card) if token.type == "link_open"}
    assert hrefs == {"https://huggingface.co/datasets/ada/twemoji-images"}
    assert HubCard(card).data.tags[-1] == hostile


def test_a_pipeline_without_t5_is_loaded_without_it() -> None:
    absent = ("text_encoder_3", "tokenizer_3")
    card = model_card(replace(CARD, file="style.safetensors", absent=absent))
    assert "style.safetensors', text_encoder_3=None, tokenizer_3=None)" in card


def test_a_transformer_by_itself_is_put_into_its_bases_pipeline() -> None:
    file = "style.safetensors"
    card = model_card(
        replace(CARD, file=file, denoiser="Flux2Transformer2DModel", is_denoiser=True)
    )
    (code,) = (token.content for token in tokens(card) if token.type == "fence")
    ast.parse(code)
    assert f"base = {CARD.bases[0].name!r}" in code
    assert "Flux2Transformer2DModel.from_single_file(" in code
    assert f"{CARD.pipeline}.from_pretrained(base, transformer=transformer)" in code
    assert "models/diffusion_models" in card
    assert "models/diffusion_models" not in model_card(replace(CARD, file=file))
