"""Write the card of a model."""

import re
from pathlib import Path
from typing import Any

import yaml

from styledag.dataset.markdown import escape_markdown
from styledag.publishing.cards.hub_licences import HUB_LICENCES
from styledag.publishing.cards.records import HUB_ID, ModelCard
from styledag.templates import templates
from styledag.tensors.layout import FILE_SUFFIXES

CARD_FILE = "README.md"
_DIGITS = 4
_MOST_EXAMPLES = 5
_IMPORT = "from diffusers import DiffusionPipeline"
_BETWEEN_WORDS = re.compile(r"[^a-z0-9.]+")


class Verbatim(str):
    """Text of our own that goes into code as it is; never text from outside."""

    __slots__ = ()


def model_card(card: ModelCard) -> str:
    """Return the README of a model's folder: front matter that the Hub reads, and a page.

    The front matter places the model in the Hub's model tree (``base_model``,
    ``base_model_relation``, ``datasets``), see https://huggingface.co/docs/hub/model-cards. All
    text of the record is escaped in the page, since licences and prompts come from outside.
    """
    environment = templates(
        Path(__file__).parent, autoescape=False, keep_trailing_newline=True, finalize=_escaped
    )
    page = environment.get_template("model_card.md.j2").render(
        card=card,
        link=_link,
        relation=_RELATIONS[card.relation],
        grid=Verbatim(card.grid) if _is_file_name(card.grid) else "",
        example=_example(card),
        figure=_figure,
    )
    return f"---\n{_front_matter(card)}---\n\n{page}"


_RELATIONS = {
    "finetune": "A fine-tune of",
    "adapter": "A LoRA for",
    "merge": "A merge of",
}


def _front_matter(card: ModelCard) -> str:
    bases = [base.name for base in card.bases if HUB_ID.fullmatch(base.name)]
    # By this tag the Hub shows how a LoRA is loaded, and by a widget's text with which prompt.
    own = ("lora",) if card.relation == "adapter" else ()
    header: dict[str, Any] = {
        "pipeline_tag": "text-to-image",
        "library_name": "diffusers",
        "tags": list(dict.fromkeys(("styledag", "text-to-image", *own, *card.tags))),
    }
    if card.licence in HUB_LICENCES:
        header["license"] = card.licence
    else:
        header |= {
            "license": "other",
            "license_name": _identifier(card.licence),
            "license_link": card.licence_url,
        }
    if bases:
        header["base_model"] = bases if len(bases) > 1 else bases[0]
        header["base_model_relation"] = card.relation
    if HUB_ID.fullmatch(card.dataset.name):
        header["datasets"] = [card.dataset.name]
    if prompt := card.recipe.get("instance_prompt"):
        header["instance_prompt"] = prompt
    if card.prompts:
        header["widget"] = [{"text": prompt} for prompt in card.prompts[:_MOST_EXAMPLES]]
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _identifier(licence: str) -> str:
    """Return a licence's name as the Hub wants an identifier, like ``my-license-1.0``."""
    words = _BETWEEN_WORDS.split(licence.lower())
    return "-".join(word for word in words if word.strip(".")) or "custom"


def _escaped(value: Any) -> Any:
    if isinstance(value, Verbatim):
        return str(value)
    return escape_markdown(value)


def _link(name: str, prefix: str = "") -> Verbatim:
    """Return a link to a repository of the Hub, or the escaped name of a folder."""
    if HUB_ID.fullmatch(name):
        return Verbatim(f"[{escape_markdown(name)}](https://huggingface.co/{prefix}{name})")
    return Verbatim(escape_markdown(name))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.{_DIGITS}g}"


def _is_file_name(name: str) -> bool:
    return name != "" and all(sign.isalnum() or sign in "._-" for sign in name)


def _example(card: ModelCard) -> Verbatim:
    """Return Python that loads the model and draws the first prompt."""
    prompt = card.prompts[0] if card.prompts else "a lighthouse"
    on_hub = HUB_ID.fullmatch(card.repo) is not None
    repo = card.repo if on_hub else "path/to/this/folder"
    if card.relation == "adapter":
        lines = [
            *_base_pipeline(card),
            f'pipeline.load_lora_weights("{repo}", weight_name={_literal(card.file)})',
        ]
    elif card.file:
        file = f"https://huggingface.co/{repo}/blob/main/{card.file}" if on_hub else card.file
        lines = _from_single_file(card, file)
    else:
        lines = [_IMPORT, "", f'pipeline = DiffusionPipeline.from_pretrained("{repo}")']
    # By name: FLUX.2's pipelines take an image first.
    lines.append(f"pipeline(prompt={_literal(prompt)}).images[0].save('image.png')")
    return Verbatim("\n".join(lines))


def _base_pipeline(card: ModelCard) -> list[str]:
    base = card.bases[0]
    if base.denoiser:
        return _with_denoiser(card, base.denoiser)
    if base.name.endswith(FILE_SUFFIXES):
        return _from_single_file(card, base.name)
    return [_IMPORT, "", f"pipeline = DiffusionPipeline.from_pretrained({_literal(base.name)})"]


def _from_single_file(card: ModelCard, file: str) -> list[str]:
    if card.is_denoiser:
        return _with_denoiser(card, file)
    absent = "".join(f", {part}=None" for part in card.absent)
    return [
        f"from diffusers import {card.pipeline}",
        "",
        f"pipeline = {card.pipeline}.from_single_file({_literal(file)}{absent})",
    ]


def _with_denoiser(card: ModelCard, file: str) -> list[str]:
    """Return Python that puts a file's denoiser into the base's pipeline."""
    kind = card.denoiser
    part = "unet" if kind.startswith("UNet") else "transformer"
    return [
        f"from diffusers import {', '.join(sorted((card.pipeline, kind)))}",
        "",
        f"base = {_literal(card.bases[0].name)}",
        f"{part} = {kind}.from_single_file(",
        f'    {_literal(file)}, config=base, subfolder="{part}"',
        ")",
        f"pipeline = {card.pipeline}.from_pretrained(base, {part}={part})",
    ]


def _literal(text: str) -> str:
    """Return a Python literal of one line that cannot end the fence around it."""
    return ascii(text).replace("`", "\\x60")
