"""What a style file says of captions."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from styledag.captions.template import check_template
from styledag.collect.web.addresses import parts_of
from styledag.models.reference import ModelReference
from styledag.settings import StrictSettings, setting

WordsFrom = Literal["override", "caption", "alt", "title", "description", "file_name", "captioner"]
SOURCES: tuple[WordsFrom, ...] = (
    "override",
    "caption",
    "alt",
    "title",
    "description",
    "file_name",
    "captioner",
)

_MOST_WEIGHT = 100


@dataclass(frozen=True, kw_only=True)
class EndpointSettings(StrictSettings):
    """A server that answers chat completions about images as OpenAI's does."""

    url: str = setting(
        pattern=r"^https?://",
        identity=False,
        help="Address before /chat/completions, such as http://localhost:8000/v1.",
    )
    model: str = setting(min_length=1, help="The model as the server calls it.")
    key_variable: str = setting(
        "OPENAI_API_KEY",
        identity=False,
        help="Environment variable that holds the key; no key is sent if it is empty.",
    )
    concurrency: int = setting(4, ge=1, le=256, identity=False, help="Requests at a time.")
    retries: int = setting(
        6,  # with waits that double from 1 s, over more than the minute that limits are counted in
        ge=0,
        le=20,
        identity=False,
        help="Further tries after 429, 5xx or a broken connection.",
    )
    timeout_s: float = setting(
        120.0, gt=0, identity=False, help="Most seconds without a byte of an answer."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not parts_of(self.url.strip()).hostname:
            raise ValueError(f"url {self.url!r} names no host")


@dataclass(frozen=True, kw_only=True)
class CaptionSettings(StrictSettings):
    """Where the words about an image come from, and how they become its caption."""

    sources: tuple[WordsFrom, ...] = setting(
        ("override", "caption", "captioner", "title"),
        min_length=1,
        help="Where words come from: the first that has any counts. override is the CSV of "
        "overrides; caption a figcaption, a sidecar file or a row of metadata; alt, title and "
        "description are the page's; file_name takes the words of the image's file name; "
        "captioner asks the model.",
    )
    captioner: ModelReference | None = setting(
        None,
        help="A model of transformers: BLIP, Florence-2, or any chat model that sees images; left "
        "out where sources does not name it.",
    )
    endpoint: EndpointSettings | None = setting(
        None, help="A server that is asked in place of a captioner."
    )
    prompt: str = setting(
        "Describe what this image shows in one short sentence.",
        min_length=1,
        help="What a chat model or an endpoint is asked.",
    )
    task: Literal["caption", "detailed_caption", "more_detailed_caption"] = setting(
        "caption", help="What Florence-2 is asked."
    )
    overrides: str | None = setting(
        None,
        identity=False,
        help="CSV in the project with columns image (file name, URL or sha256) and caption.",
    )
    lines: Literal["join", "first", "each"] = setting(
        "join",
        help="What becomes of a caption or override of several lines: join makes them one text, "
        "first takes the first, and each makes every line a caption of its own, of which each "
        "epoch takes one at random.",
    )
    template: str = setting(
        "{caption}",
        pattern=r"\{caption\}",
        help="How the caption is written: {caption} stands for it, and {title}, {alt}, "
        "{description}, {author}, {licence} for what is known of the image; a part in square "
        "brackets is left out where a field in it is empty.",
    )
    variants: tuple[str, ...] = setting(
        (),
        help="Further templates with {caption}; each epoch, training takes one of all at random.",
    )
    weights: tuple[int, ...] = setting(
        (),
        help="How often training takes the template and each of the variants, in whole numbers: "
        "[3, 1] takes the template three times out of four; all alike when left out.",
    )
    articles: bool = setting(
        True,
        help="Fit a template's article to the caption behind it: 'a {caption}' becomes 'an owl' "
        "and 'the moon', not 'a owl' and 'a the moon'.",
    )
    compare: bool = setting(
        False,
        help="Ask the captioner about every image, and report how often it names the same thing as "
        "the words that are used.",
    )
    prefix: str = setting("", help="Words that BLIP continues; taken off its answer again.")
    batch_size: int = setting(16, ge=1, identity=False, help="Images captioned at a time.")
    num_beams: int = setting(3, ge=1, le=16, help="Beams of the search for the best caption.")
    max_new_tokens: int = setting(30, ge=1, le=1024, help="Most tokens of a caption.")
    repetition_penalty: float = setting(1.2, ge=1, le=5, help="1 lets the captioner repeat itself.")
    no_repeat_ngram_size: int = setting(
        3, ge=0, help="Word sequences of this length occur once at most; 0 allows all."
    )

    @property
    def captioner_name(self) -> str:
        """What is asked, with its revision, for people; empty if nothing is.

        Of a path, the last part: where it is on this machine is nobody's business.
        """
        if "captioner" not in self.sources:
            return ""
        if self.endpoint is not None:
            return self.endpoint.model
        if self.captioner is None or self.captioner.revision is None:
            return "" if self.captioner is None else PurePath(self.captioner.model).name
        return f"{self.captioner.model}@{self.captioner.revision}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.sources)) < len(self.sources):
            raise ValueError(f"sources names one twice: {', '.join(self.sources)}")
        if "captioner" in self.sources and self.captioner is None and self.endpoint is None:
            raise ValueError(
                "sources names the captioner, but there is none: name its model under captioner, "
                "or take captioner out of sources"
            )
        if self.compare and "captioner" not in self.sources:
            raise ValueError("compare asks the captioner, which sources does not name: add it")
        if self.captioner is not None and self.endpoint is not None:
            raise ValueError("captioner and endpoint are both set: take one of them out")
        for template in (self.template, *self.variants):
            check_template(template)
        if len({self.template, *self.variants}) <= len(self.variants):
            raise ValueError("template and variants hold a template twice")
        templates = 1 + len(self.variants)
        within = all(1 <= weight <= _MOST_WEIGHT for weight in self.weights)
        if self.weights and not (within and len(self.weights) == templates):
            raise ValueError(
                f"weights is {list(self.weights)}, but template and variants are {templates}: give "
                f"a number from 1 to {_MOST_WEIGHT} for each"
            )
