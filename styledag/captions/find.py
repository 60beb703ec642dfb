"""The captioner that a style's settings mean."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from styledag.captions.blip import BlipCaptioner
from styledag.captions.captioner import Captioner, LocalCaptioner
from styledag.captions.chat import ChatCaptioner, describes_images
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
    return captioner(model.folder, model.version, compute())


def check_captioner(folder: Path) -> str:
    """Return the model type of a captioner; nothing but its ``config.json`` is read.

    Raises:
        ModelError: If transformers has no model of the type that describes images.
    """
    model_type = _model_type(folder)
    if model_type not in _BY_MODEL_TYPE and not describes_images(model_type):
        raise ModelError(
            f"captioner {folder} is a {model_type}, which describes no images: name a BLIP, a "
            "Florence-2 or a chat model that sees images"
        )
    return model_type


def _model_type(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_bytes())["model_type"])
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise ModelError(
            f"captioner {folder} has no config.json that names its model_type ({exc}): name "
            "a model of transformers"
        ) from exc
