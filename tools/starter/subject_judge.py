"""The judge of subjects: whether an image shows its subject, by a CLIP trained apart."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tools.starter.clip_recipe import image_embeddings

if TYPE_CHECKING:
    from transformers import CLIPModel

_VISION = ("vision_model.", "visual_projection.")


class SubjectJudge:
    """Compares an image with many subjects' names by CLIP.

    Args:
        clip: A CLIP that was trained apart; only its vision tower is used.
        names: Names that images are compared with.
        embeddings: Their unit vectors. # [names, width]
    """

    def __init__(self, clip: "CLIPModel", names: tuple[str, ...], embeddings: Tensor) -> None:
        self.clip, self.names, self.embeddings = clip, names, embeddings

    def recognised(self, pixels: Tensor, names: list[str], *, top: int = 5) -> Tensor:
        """Return of each image whether its name is among the nearest; bool, B.

        Args:
            pixels: Between 0 and 1. # BCHW
            names: What each should show.
            top: How many names count as nearest.
        """
        likeness = image_embeddings(self.clip, pixels) @ self.embeddings.T
        right = torch.tensor([self.names.index(name) for name in names])
        return (likeness.topk(top, dim=1).indices == right[:, None]).any(dim=1)


def save_subject_judge(judge: SubjectJudge, path: Path) -> None:
    """Write a judge small enough to lie beside the tests, as one safetensors file in float16."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    state = judge.clip.state_dict().items()
    kept = {name: value.half() for name, value in state if name.startswith(_VISION)}
    kept["names"] = judge.embeddings.half()
    save_file(kept, path, metadata={"names": json.dumps(judge.names)})


def load_subject_judge(path: Path) -> SubjectJudge:
    """Return the judge that :func:`save_subject_judge` wrote, in float32."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    from tools.starter.clip import build_clip
    from tools.starter.vocabulary import clip_tokenizer

    clip = build_clip(clip_tokenizer())
    kept = {name: value.float() for name, value in load_file(path).items()}
    embeddings = kept.pop("names")
    clip.load_state_dict({**clip.state_dict(), **kept})
    with safe_open(path, "pt") as file:
        names = tuple(json.loads(file.metadata()["names"]))
    return SubjectJudge(clip.eval(), names, embeddings)
