"""The captioner that a style's settings mean."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from styledag.captions.blip import BlipCaptioner
from styledag.captions.captioner import Captioner, LocalCaptioner
from styledag.captions.chat import (
    ChatCaptioner,
    check_quantised,
    describes_images,
    missing_packages,
)
from styledag.captions.chat_prompt import has_chat_template
from styledag.captions.endpoint import EndpointCaptioner
from styledag.captions.florence import FlorenceCaptioner
from styledag.captions.settings import CaptionSettings
from styledag.errors import ModelError
from styledag.models.compute import Compute
from styledag.models.reference import ResolvedModel

_BY_MODEL_TYPE: dict[str, type[LocalCaptioner]] = {
    "blip": BlipCaptioner,
    "florence2": FlorenceCaptioner,
}
_LEGACY_FLORENCE = "florence2_language"
"""Text model of Florence-2 as Microsoft's own code, and fine-tunes by it, name it."""


def find_captioner(
    settings: CaptionSettings,
    model: ResolvedModel | None,
    compute: Callable[[], Compute],
    work: Counter[str],
) -> Captioner | None:
    """Return the captioner that the settings mean, not loaded yet; ``None`` if they name none.

    Which one a model is follows from its ``config.json``; what is neither BLIP nor Florence-2 is
    asked as a chat model.

    Raises:
        ModelError: If the model has no readable ``config.json``.
    """
    if settings.endpoint is not None:
        return EndpointCaptioner(settings.endpoint, work)
    if model is None:
        return None
    captioner = _BY_MODEL_TYPE.get(_model_type(model.folder), ChatCaptioner)
    return captioner(model.folder, model.version, compute(), work)


def check_captioner(folder: Path) -> str:
    """Return the model type of a captioner; nothing but its configurations is read.

    Raises:
        ModelError: If transformers has no model of the type that describes images, the model needs
            code of its own, is no chat model, or is quantised in a way that is not read here.
    """
    config = _config(folder)
    model_type = str(config["model_type"])
    text_config = config.get("text_config")
    text_type = text_config.get("model_type") if isinstance(text_config, dict) else None
    is_known = model_type in _BY_MODEL_TYPE or describes_images(model_type)
    if text_type == _LEGACY_FLORENCE or ("auto_map" in config and not is_known):
        advice = (
            "florence-community/Florence-2-large is Florence-2 in that form"
            if model_type == "florence2"
            else "its name often ends in -hf"
        )
        raise ModelError(
            f"captioner {folder} is a {model_type} that runs code of its own repository, which "
            f"styledag does not: name it as transformers itself has it ({advice}), or serve it, "
            "such as by vLLM, and name captions.endpoint"
        )
    if not is_known:
        raise ModelError(
            f"captioner {folder} is a {model_type}, which describes no images: name a BLIP, a "
            "Florence-2 or a chat model that sees images"
        )
    if model_type not in _BY_MODEL_TYPE and not has_chat_template(folder):
        raise ModelError(
            f"captioner {folder} is a {model_type} without a chat template, so it cannot be asked: "
            "name a BLIP, a Florence-2 or a chat model that sees images"
        )
    check_quantised(folder, config)
    return model_type


def missing_packages_of(folder: Path) -> Sequence[str]:
    """Return the packages that a captioner is loaded with and that are not installed.

    Raises:
        ModelError: If it has no readable configuration.
    """
    return () if _model_type(folder) in _BY_MODEL_TYPE else missing_packages(folder)


def _model_type(folder: Path) -> str:
    return str(_config(folder)["model_type"])


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_bytes())
        config["model_type"]
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise ModelError(
            f"captioner {folder} has no config.json that names its model_type ({exc}): name "
            "a model of transformers"
        ) from exc
    return dict(config)
