"""What a base is called elsewhere: in other trainers' settings, and in the files of web UIs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from styledag.models.single_file.transformer_names import TransformerNames


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A base's names in other programs; empty where a program does not know it.

    Attributes:
        tensors: How original checkpoints name the denoiser's tensors, if web UIs read files of the
            denoiser alone.
        ai_toolkit: ``arch`` of ai-toolkit.
        diffusers: diffusers' script for the whole denoiser, without ``.py``.
        diffusers_lora: That for a LoRA.
        diffusers_alpha: Whether the latter has ``--lora_alpha``, which is 4 when left out; in the
            others it is the rank.
        kohya: sd-scripts' scripts for the whole denoiser and for a LoRA, from diffusers' layout.
        kohya_keys: Further keys of their configuration.
        onetrainer: ``model_type`` of OneTrainer.
        onetrainer_dropout: Whether OneTrainer can drop captions; it refuses to elsewhere.
    """

    tensors: TransformerNames | None = None
    ai_toolkit: str = ""
    diffusers: str = ""
    diffusers_lora: str = ""
    diffusers_alpha: bool = False
    kohya: tuple[str, ...] = ()
    kohya_keys: Mapping[str, bool] = field(default_factory=dict, hash=False)
    onetrainer: str = ""
    onetrainer_dropout: bool = True
