"""What a style file says of captions."""

from dataclasses import dataclass
from typing import Literal

from styledag.models.reference import ModelReference
from styledag.settings import STRICT, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class CaptionSettings:
    """Who says what an image shows, and how it is said."""

    __pydantic_config__ = STRICT

    captioner: ModelReference = setting(help="A BlipForConditionalGeneration.")
    source: Literal["blip", "page"] = setting(
        "blip", help="blip asks the captioner; page takes the page's title, and BLIP where none is."
    )
    overrides: str | None = setting(
        None,
        identity=False,
        help="CSV in the project with columns image (URL or sha256) and caption; it always wins.",
    )
    template: str = setting(
        "{caption}",
        pattern=r"\{caption\}",
        help="How the caption is said; {caption} stands for it.",
    )
    variants: tuple[str, ...] = setting(
        (),
        help="Further templates with {caption}; each epoch, training says one of all at random.",
    )
    prefix: str = setting("", help="Words that BLIP continues; taken off its answer again.")
    batch_size: int = setting(16, ge=1, identity=False, help="Images captioned at a time.")
    num_beams: int = setting(3, ge=1, le=16, help="Beams of the search for the best caption.")
    max_new_tokens: int = setting(30, ge=1, le=70, help="Most tokens of a caption.")
    repetition_penalty: float = setting(1.2, ge=1, le=5, help="1 lets the captioner repeat itself.")
    no_repeat_ngram_size: int = setting(
        3, ge=0, help="Word sequences of this length occur once at most; 0 allows all."
    )

    def __post_init__(self) -> None:
        check_settings(self)
        for variant in self.variants:
            if "{caption}" not in variant:
                raise ValueError(f"variants holds {variant!r}, which lacks {{caption}}")
        if len({self.template, *self.variants}) <= len(self.variants):
            raise ValueError("template and variants hold a template twice")
