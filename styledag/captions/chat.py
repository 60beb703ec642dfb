"""Any chat vision-language model as the captioner: Qwen3-VL, JoyCaption, SmolVLM, InternVL."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.captions.captioner import LocalCaptioner, decoding_settings
from styledag.captions.chat_prompt import chat_prompt
from styledag.captions.settings import CaptionSettings
from styledag.captions.thinking import answer_after_thought
from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.tensors.layout import CONFIG_FILE

if TYPE_CHECKING:
    from PIL.Image import Image


EXTRA = "chat"
_VIDEO_CONFIG, _PROCESSOR_CONFIG = "video_preprocessor_config.json", "processor_config.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"


def missing_packages(folder: Path) -> list[str]:
    """Return the packages that a model's processor is loaded with and that are not installed.

    A processor that can read videos too, as those of Qwen3-VL, SmolVLM and InternVL, is loaded by
    transformers with torchvision, and SmolVLM's with num2words, whatever it is asked; others, as
    Pixtral's, state themselves what they need.

    Args:
        folder: The model's configurations.
    """
    config = _config(folder / _PROCESSOR_CONFIG)
    reads_videos = (folder / _VIDEO_CONFIG).exists() or "video_processor" in config
    model_type = read_config(folder / CONFIG_FILE).get("model_type")
    needed = {"torchvision": reads_videos, "num2words": model_type == "smolvlm"}
    stated = _backends(config) or _backends(_config(folder / _TOKENIZER_CONFIG))
    needed |= {name: True for name in stated if name in needed}
    return [name for name, is_needed in needed.items() if is_needed and find_spec(name) is None]


def _config(path: Path) -> Mapping[str, Any]:
    return read_config(path) if path.exists() else {}


def _backends(config: Mapping[str, Any]) -> Sequence[str]:
    """Return the packages without which transformers has a processor's class in name only."""
    if "processor_class" not in config:
        return ()
    import transformers

    # The class itself would be imported with torch, which a run without news needs not.
    return tuple(transformers._object_missing_backend.get(str(config["processor_class"]), ()))


def describes_images(model_type: str) -> bool:
    """Return whether transformers loads models of a type as ones that answer about images."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    return model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def check_quantised(folder: Path, config: Mapping[str, Any]) -> None:
    """Check that what quantised weights are loaded with is there: packages, and a device for some.

    Args:
        folder: The model, for the message.
        config: Its configuration; of weights that are not quantised, nothing is checked.

    Raises:
        ModelError: If it is not, or transformers does not know the method.
    """
    stated = config.get("quantization_config")
    if not stated:
        return
    from transformers.quantizers.auto import AutoHfQuantizer

    try:
        quantizer = AutoHfQuantizer.from_config(dict(stated), pre_quantized=True)
        quantizer.validate_environment(device_map=None)
    except (ImportError, ValueError, RuntimeError, TypeError, KeyError) as exc:
        method = stated.get("quant_method") if isinstance(stated, Mapping) else stated
        raise ModelError(
            f"captioner {folder} is quantised ({method}), and cannot be loaded here: "
            f"{' '.join(str(exc).split())}; or name the model that it was made from"
        ) from exc


class ChatCaptioner(LocalCaptioner):
    """A model that answers a prompt about an image in its processor's chat template."""

    def classes(self) -> tuple[Any, Any]:
        """Return transformers' own choice by the model's configuration."""
        from transformers import AutoModelForImageTextToText, AutoProcessor

        return AutoModelForImageTextToText, AutoProcessor

    def identity(self, settings: CaptionSettings) -> Mapping[str, Any]:
        """Return the settings of decoding and the prompt."""
        return {
            "prompt": settings.prompt,
            "search": 2,  # Raised when it changes; answers from another one are not these.
            **decoding_settings(settings),
        }

    def search(self, inputs: Mapping[str, Any], settings: CaptionSettings) -> dict[str, Any]:
        """Return arguments of ``generate`` that avoid repetition of the prompt without padding."""
        return {
            **decoding_settings(settings),
            "repetition_penalty": 1.0,
            "no_repeat_ngram_size": 0,
            "logits_processor": [_Unpadded(inputs["attention_mask"], settings)],
        }

    def __call__(self, images: "Sequence[Image]", settings: CaptionSettings) -> list[str]:
        """Return one raw caption for each RGB image.

        Raises:
            ModelError: If the folder holds no whole model, its processor has no chat template for
                an image or does not take the images, the model computes NaN, or its thoughts leave
                no room for an answer.
            DeviceError: If the batch does not fit into the device's memory.
        """
        _, processor = self.loaded
        text = chat_prompt(processor, settings.prompt, captioner=str(self.folder))
        # Images of different sizes can have prompts of different lengths; what is generated
        # follows the prompt, so the padding has to be in front of it.
        processor.tokenizer.padding_side = "left"
        if processor.tokenizer.pad_token is None:  # as of Llama; what pads is masked anyway
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        first = processor.tokenizer.bos_token
        try:
            inputs = processor(
                text=[text] * len(images),
                images=[[image] for image in images],
                padding=True,
                return_tensors="pt",
                # As transformers does: a template that writes the first token gets no second one.
                add_special_tokens=first is None or not text.startswith(first),
            ).to(self.compute.device, dtype=self.compute.dtype)
        except ValueError as exc:  # such as Qwen's for images of less than 28 px on a side
            sizes = ", ".join(sorted({f"{image.width} x {image.height}" for image in images}))
            raise ModelError(
                f"the processor of captioner {self.folder} does not take images of {sizes} px "
                f"({exc}): take others, or name another captioner"
            ) from exc
        answers = self.generated(
            inputs, settings, images=len(images), prompt_length=inputs["input_ids"].shape[1]
        )
        texts = processor.batch_decode(answers, skip_special_tokens=True)
        return [
            answer_after_thought(str(answer), captioner=str(self.folder), prompt=text)
            for answer in texts
        ]


class _Unpadded:
    """Avoids repetition as transformers does, of what stands behind the padding.

    In the padding stands a token that many models end an answer with: transformers counts it as
    part of the prompt, so that answers to shorter prompts would run on.

    Args:
        attention_mask: Of prompts that are padded on the left, [images, length].
        settings: What is avoided.
    """

    def __init__(self, attention_mask: Any, settings: CaptionSettings) -> None:
        from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

        self._starts = (attention_mask == 0).sum(1).tolist()
        self._avoiding = [RepetitionPenaltyLogitsProcessor(settings.repetition_penalty)]
        if settings.no_repeat_ngram_size:
            self._avoiding.append(NoRepeatNGramLogitsProcessor(settings.no_repeat_ngram_size))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        beams = len(input_ids) // len(self._starts)
        rows = []
        for at, row in enumerate(scores.split(1)):
            ids = input_ids[at : at + 1, self._starts[at // beams] :]
            for avoid in self._avoiding:
                row = avoid(ids, row)
            rows.append(row)
        return torch.cat(rows)
