"""What writes captions of images: one protocol, and what the models of transformers share."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from styledag.captions.cleaning.chatter import is_refusal
from styledag.captions.settings import CaptionSettings
from styledag.errors import DeviceError, ModelError
from styledag.models.compute import Compute
from styledag.models.load import load_transformers

if TYPE_CHECKING:
    from PIL.Image import Image


class Captioner(Protocol):
    """Captions images, as its version and its settings alone decide."""

    @property
    def version(self) -> str:
        """What decides the answers besides image and settings: weights and preprocessing."""

    def identity(self, settings: CaptionSettings) -> Mapping[str, Any]:
        """Return the settings that decide a raw caption, as JSON."""

    def batch_size(self, settings: CaptionSettings) -> int:
        """Return how many images to ask about at a time."""

    def answers(
        self, images: "Sequence[Image]", settings: CaptionSettings
    ) -> Iterator[tuple[int, str]]:
        """Yield the position and the raw caption of each RGB image, as soon as it is there.

        What fails for one image is raised when those of all others have been yielded.
        """


@dataclass
class LocalCaptioner(ABC):
    """A model of transformers that is loaded when it is first asked.

    Attributes:
        folder: The model.
        content: Digest of its files.
        compute: What it computes with.
        work: Counts ``answers_cut_off`` by the most tokens, and ``answers_refused``.
    """

    folder: Path
    content: str
    compute: Compute
    work: Counter[str] = field(default_factory=Counter)

    @property
    def version(self) -> str:
        """The model's content and what resizes images for it."""
        return f"{self.content}/{processor_backend()}"

    def batch_size(self, settings: CaptionSettings) -> int:
        """Return the settings' number."""
        return settings.batch_size

    @abstractmethod
    def classes(self) -> tuple[Any, Any]:
        """Return the classes of the model and of its processor."""

    @abstractmethod
    def identity(self, settings: CaptionSettings) -> Mapping[str, Any]:
        """Return the settings that decide a raw caption, as JSON."""

    @abstractmethod
    def __call__(self, images: "Sequence[Image]", settings: CaptionSettings) -> list[str]:
        """Return one raw caption for each RGB image, in order."""

    def answers(
        self, images: "Sequence[Image]", settings: CaptionSettings
    ) -> Iterator[tuple[int, str]]:
        """Yield the position and the raw caption of each RGB image, all after one computation."""
        for at, caption in enumerate(self(images, settings)):
            self.work.update({"answers_refused": 1} if is_refusal(caption) else {})
            yield at, caption

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """The model on its device, and its processor.

        Raises:
            ModelError: If the folder holds no whole model of its class.
        """
        model_class, processor_class = self.classes()
        named = {"role": "captioner", "wanted": f"{model_class.__name__} with its processor"}
        processor = load_transformers(processor_class, self.folder, **named)
        model, loading = load_transformers(
            model_class,
            self.folder,
            dtype=self.compute.dtype,
            use_safetensors=True,
            output_loading_info=True,
            **named,
        )
        missing = sorted(str(name) for name in loading["missing_keys"])
        if missing:
            raise ModelError(
                f"captioner {self.folder} lacks {len(missing)} tensors, first {missing[0]}: "
                f"it is no whole {model_class.__name__}"
            )
        return model.to(self.compute.device).eval(), processor

    def search(
        self,
        inputs: Mapping[str, Any],  # noqa: ARG002 - of some models, it depends on them
        settings: CaptionSettings,
    ) -> dict[str, Any]:
        """Return the arguments of ``generate`` that a caption is searched with."""
        return decoding_settings(settings)

    def generated(
        self,
        inputs: Mapping[str, Any],
        settings: CaptionSettings,
        *,
        images: int,
        prompt_length: int,
    ) -> Any:
        """Return what the model generates behind its prompt, as tokens of shape [images, length].

        Counts the answers that the most tokens cut off.

        Args:
            inputs: Of the model, for all images at once.
            settings: How it is decoded.
            images: How many there are; some models read each in parts of their own number.
            prompt_length: Tokens in front of the answer that ``generate`` returns with it.

        Raises:
            ModelError: If the model computes NaN, of which any token follows.
            DeviceError: If the batch does not fit into the device's memory.
        """
        import torch

        model, _ = self.loaded
        watch = _NanWatch()
        search = self.search(inputs, settings)
        search["logits_processor"] = [*search.get("logits_processor", ()), watch]
        try:
            with torch.inference_mode():
                tokens = model.generate(**inputs, do_sample=False, **search)
        except torch.OutOfMemoryError as exc:
            raise DeviceError(
                f"captioning {images} images at a time does not fit into the memory of "
                f"{self.compute.device}: lower captions.batch_size"
            ) from exc
        if watch.found:
            raise ModelError(
                f"captioner {self.folder} computes NaN in {self.compute.dtype} on "
                f"{self.compute.device}, of which no caption follows: many models overflow in "
                "float16, so compute with dtype auto; in another dtype, fetch the model again"
            )
        answers = tokens[:, prompt_length:]
        if answers.shape[1] >= settings.max_new_tokens:
            last = answers[:, -1].tolist()
            self.work["answers_cut_off"] += sum(token not in self._ends for token in last)
        return answers

    @cached_property
    def _ends(self) -> frozenset[int]:
        """Tokens that an answer ends with."""
        model, processor = self.loaded
        tokenizer = processor.tokenizer
        config = model.generation_config
        eos = config.eos_token_id
        ends = [*(eos if isinstance(eos, list) else [eos]), config.pad_token_id]
        ends += [tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.sep_token_id]
        return frozenset(end for end in ends if end is not None)


class _NanWatch:
    """Notes whether the logits of any step are NaN, without waiting for the device in each."""

    def __init__(self) -> None:
        self._found: Any = None

    def __call__(self, _input_ids: Any, scores: Any) -> Any:
        is_nan = scores.isnan().any()
        self._found = is_nan if self._found is None else self._found | is_nan
        return scores

    @property
    def found(self) -> bool:
        """Whether any was."""
        return self._found is not None and bool(self._found)


def processor_backend() -> str:
    """Return what resizes images for a captioner: ``torchvision`` if it is there, else ``pil``.

    The two give different pixels, and so now and then another caption.
    """
    return "torchvision" if find_spec("torchvision") is not None else "pil"


def decoding_settings(settings: CaptionSettings) -> dict[str, Any]:
    """Return the settings of the search for a caption, as ``generate`` names them."""
    return {
        "num_beams": settings.num_beams,
        "max_new_tokens": settings.max_new_tokens,
        "repetition_penalty": settings.repetition_penalty,
        "no_repeat_ngram_size": settings.no_repeat_ngram_size,
    }
