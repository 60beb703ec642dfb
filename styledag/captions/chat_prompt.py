"""The prompt of a chat model about one image, in its processor's own template."""

from pathlib import Path
from typing import Any

from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.quiet import quiet_transformers

_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")
_CONFIGS = ("processor_config.json", "tokenizer_config.json")
_AS_TEXT = "'type': 'text'"
"""In a prompt if a template that expects a string was given a list of parts."""


def has_chat_template(folder: Path) -> bool:
    """Return whether a model's configurations contain a chat template.

    Args:
        folder: The configurations; no class of transformers is loaded.
    """
    if any((folder / name).is_file() for name in _TEMPLATE_FILES):
        return True
    present = [folder / name for name in _CONFIGS if (folder / name).is_file()]
    return any(read_config(path).get("chat_template") for path in present)


def chat_prompt(processor: Any, prompt: str, *, captioner: str) -> str:
    """Return the text that asks about one image.

    Some templates, as JoyCaption's, expect the question as a string and place the image by
    themselves or not at all.

    Args:
        processor: Of the model, with its chat template.
        prompt: The question.
        captioner: What the model is called, for the message.

    Raises:
        ModelError: If there is no template, or it has no place for an image.
    """
    image_token = str(getattr(processor, "image_token", "") or "")
    parts: list[Any] = [
        [{"type": "image"}, {"type": "text", "text": prompt}],
        prompt,
        f"{image_token}\n{prompt}",
    ]
    trouble = "it places no image"
    for content in parts:
        try:
            text = _applied(processor, content)
        except ValueError as exc:
            raise ModelError(
                f"captioner {captioner} has no chat template ({exc}): name a chat model"
            ) from exc
        except _template_errors() as exc:
            trouble = f"{type(exc).__name__}: {exc}"
            continue
        if _AS_TEXT not in text and (image_token in text):
            return text
    raise ModelError(
        f"the chat template of captioner {captioner} cannot be filled in with an image and a "
        f"question ({trouble}): name another captioner, or serve it and name its endpoint"
    )


def _applied(processor: Any, content: Any) -> str:
    conversation = [{"role": "user", "content": content}]
    with quiet_transformers():  # It warns of a template that knows no enable_thinking.
        return str(
            processor.apply_chat_template(
                conversation, add_generation_prompt=True, enable_thinking=False
            )
        )


def _template_errors() -> tuple[type[Exception], ...]:
    from jinja2 import TemplateError

    return (TemplateError, TypeError, AttributeError, LookupError)
