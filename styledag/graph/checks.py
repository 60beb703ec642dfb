"""Checks of what a stage made: what is looked at, and what is found.

A stage names its checks; they are made with every materialisation of it. Limits, and which of them
are errors, are the style file's ``checks``.
"""

import base64
import binascii
import io
import json
import math
import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, cast

from styledag.captions.language import UNKNOWN
from styledag.errors import StorageError
from styledag.graph.lineage import find_ancestor
from styledag.graph.snapshots import TRAINING_LOG
from styledag.scoring.score import read_summary
from styledag.store.artifact import Artifact
from styledag.store.store import Store
from styledag.style.checks import CheckName
from styledag.style.model import Style

_MIXED = 0.99
"""Share from which on an average counts as what it is an average of."""
_FIFTHS = 5
_MIN_STEPS = 20
"""Optimiser steps below which a loss has no trend."""


@dataclass(frozen=True)
class Checked:
    """What a check looks at.

    Attributes:
        style: The style, with the limits in ``checks``.
        store: Where the artifact lies, and what was made before.
    """

    artifact: Artifact
    style: Style
    store: Store


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        passed: Whether all is as it should be.
        why: What was found, for a person.
        figures: What was compared, for the web UI.
    """

    passed: bool
    why: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of an asset.

    Attributes:
        name: Its name, by which a style file makes it an error.
        description: What it looks at, for a reader of the web UI.
        look: Returns what is found.
        by_hand: Whether it is made only when somebody asks for it, of all partitions at once.
    """

    name: CheckName
    description: str
    look: Callable[[Checked], Outcome]
    by_hand: bool = False


def _check(*, by_hand: bool = False) -> Callable[[Callable[[Checked], Outcome]], Check]:
    """Return a decorator that makes a check of a function, by its name and its docstring."""

    def made(look: Callable[[Checked], Outcome]) -> Check:
        name = cast("CheckName", look.__name__)
        return Check(name=name, description=look.__doc__ or "", look=look, by_hand=by_hand)

    return made


def failed_errors(checks: tuple[Check, ...], checked: Checked) -> list[str]:
    """Return a sentence for each check that stops what follows: one that the style names an error.

    Checks that are made by hand are not looked at.
    """
    named = checked.style.checks.errors
    errors = [each for each in checks if not each.by_hand and each.name in named]
    outcomes = {check.name: check.look(checked) for check in errors}
    return [f"{name}: {found.why}" for name, found in outcomes.items() if not found.passed]


@_check()
def nothing_lost(checked: Checked) -> Outcome:
    """found = kept + the sum of the rejected by reason."""  # noqa: D403 - as the web UI shows it
    facts = checked.artifact.facts
    rejected = sum(count for name, count in facts.items() if name.startswith("rejected_"))
    found, kept = facts["found"], facts["kept"]
    figures = {"found": found, "kept": kept, "rejected": rejected}
    return Outcome(
        found == kept + rejected, f"{found} found, {kept} kept, {rejected} rejected", figures
    )


@_check()
def captions_vary(checked: Checked) -> Outcome:
    """The captioner does not repeat one caption for most of the images."""
    facts = checked.artifact.facts
    share = facts.get("commonest_caption_share", 0.0)
    limit = checked.style.checks.max_repeated_caption_share
    why = f"{share:.0%} of the images have the caption {facts.get('commonest_caption', '')!r}"
    return _at_most(share, limit, why)


@_check()
def captions_fit(checked: Checked) -> Outcome:
    """Few captions are longer than the base reads."""
    facts = checked.artifact.facts
    cut, kept = facts.get("cut_to_fit", 0), facts["kept"]
    limit = checked.style.checks.max_cut_caption_share
    return _at_most(cut / max(1, kept), limit, f"{cut} of {kept} captions were cut to fit")


@_check()
def captions_language(checked: Checked) -> Outcome:
    """Captions are in the language that the base reads."""
    languages = checked.artifact.facts.get("languages", {})
    wanted = checked.style.checks.caption_language
    others = {where: code for where, code in languages.items() if code not in (wanted, UNKNOWN)}
    why = ", ".join(f"{where}: {code}" for where, code in languages.items())
    if wanted is None or not others:
        return Outcome(True, why or "too few words to tell", languages)
    listed = ", ".join(f"{where} is {code}" for where, code in others.items())
    return Outcome(False, f"{listed}, but checks.caption_language is {wanted}", languages)


@_check()
def dataset_not_shrunk(checked: Checked) -> Outcome:
    """No more images are gone since the last training than the style file allows."""
    style, artifact = checked.style, checked.artifact
    before = 0
    for recipe in style.recipes:
        model = checked.store.current("ema_unet", f"{artifact.partition}.{recipe}")
        if model is not None:
            trained_on = find_ancestor(checked.store, model, artifact.asset)
            before = max(before, _images(trained_on))
    now, limit = _images(artifact), style.checks.max_shrink_share
    if not before:
        return Outcome(True, f"{now} images, and no model yet to compare with", {"images": now})
    gone = max(0.0, 1 - now / before)
    why = f"{now} images, after {before} of the last training"
    if gone > limit:
        why += f"; if that is meant, raise checks.max_shrink_share (now {limit:g})"
    return _at_most(gone, limit, why)


def _images(dataset: Artifact) -> int:
    return int(dataset.facts.get("train", 0)) + int(dataset.facts.get("validation", 0))


@_check()
def loss_finite(checked: Checked) -> Outcome:
    """Loss and gradient are finite in every optimiser step."""
    steps = _steps(checked.artifact)
    wrong = [
        step["step"]
        for step in steps
        if not (math.isfinite(step["loss"]) and math.isfinite(step["grad_norm"]))
    ]
    if not wrong:
        return Outcome(True, f"loss and gradient are finite in all {len(steps)} steps")
    why = f"loss or gradient is not finite in {len(wrong)} of {len(steps)} steps, first in step"
    return Outcome(False, f"{why} {wrong[0]}", {"first_step": wrong[0], "steps": len(wrong)})


@_check()
def loss_falls(checked: Checked) -> Outcome:
    """The loss of the last steps is not above that of the first ones."""
    losses = [step["loss"] for step in _steps(checked.artifact)]
    if len(losses) < _MIN_STEPS or not all(map(math.isfinite, losses)):
        return Outcome(True, f"{len(losses)} steps have no trend")
    part = len(losses) // _FIFTHS
    first, last = losses[:part], losses[-part:]
    begin, end = statistics.fmean(first), statistics.fmean(last)
    # Two standard errors of the difference of the means; Welch (1947).
    noise = 2 * math.sqrt((statistics.variance(first) + statistics.variance(last)) / part)
    figures = {"first_fifth": begin, "last_fifth": end, "noise": noise}
    why = f"mean loss of the first fifth of the steps {begin:.4g}, of the last {end:.4g}"
    return Outcome(end <= begin + noise, why, figures)


@_check()
def average_is_its_own(checked: Checked) -> Outcome:
    """The average is neither the base nor the weights of the last step."""
    facts, recipe = checked.artifact.facts, checked.artifact.build.settings.get("Recipe", {})
    if recipe.get("ema", {}).get("mode") == "none":
        return Outcome(True, "the recipe averages nothing")
    shares = {"base": facts.get("base_share", 0.0), "newest weights": facts.get("newest_share", 0)}
    why = not_its_own(recipe.get("ema", {}), shares)
    if why:
        return Outcome(False, why, {"share": max(shares.values())})
    return Outcome(True, ", ".join(f"{share:.1%} {name}" for name, share in shares.items()), shares)


def not_its_own(ema: Mapping[str, Any], shares: Mapping[str, float]) -> str:
    """Return why an average is none, and which setting makes it one; empty if it is its own.

    Args:
        ema: The recipe's settings of the average.
        shares: How much of it are the ``base`` and the ``newest weights``.
    """
    for name, share in shares.items():
        if share >= _MIXED:
            remedy = _remedy(ema, is_base=name == "base")
            return f"{share:.1%} of the average are the {name}: {remedy}"
    return ""


def _remedy(ema: Mapping[str, Any], *, is_base: bool) -> str:
    """Return which setting makes an average of what is nearly all base, or all newest weights."""
    if is_base:
        by_share = ema.get("base_share") is not None
        return "lower ema.base_share" if by_share else "lower ema.decay or train longer"
    if ema.get("mode") == "power":
        return "raise ema.lengths or train longer"
    if ema.get("base_share") is not None:
        return "raise ema.base_share or train longer"
    return "raise ema.decay"


def _steps(artifact: Artifact) -> list[dict[str, Any]]:
    text = (artifact.folder / TRAINING_LOG).read_text(encoding="utf-8")
    steps: list[dict[str, Any]] = json.loads(text)
    return steps


def _recommended(checked: Checked, score: str) -> float | None:
    """Return a score of the recommended model; ``None`` if none is recommended or measured."""
    for row in read_summary(checked.artifact.folder)["scores"]:
        if row["recommended"]:
            value: float | None = row[score]["value"]
            return value
    return None


@_check()
def copying_within_limit(checked: Checked) -> Outcome:
    """The recommended model draws few copies of training images."""
    value = _recommended(checked, "copying")
    if value is None:
        return Outcome(True, "copying was not measured")
    limit = checked.style.checks.max_copying_share
    return _at_most(value, limit, f"{value:.1%} of the samples are copies")


@_check()
def style_learned(checked: Checked) -> Outcome:
    """The recommended model has learned of the style, as the base's own loss has it."""
    return _at_least(
        _recommended(checked, "style_learned"),
        checked.style.checks.min_style_learned,
        "style learned",
    )


@_check()
def base_remembered(checked: Checked) -> Outcome:
    """The recommended model remembers the base, as the base's own loss has it."""
    return _at_least(
        _recommended(checked, "base_remembered"),
        checked.style.checks.min_base_remembered,
        "base remembered",
    )


def _at_most(value: float, limit: float, why: str) -> Outcome:
    return Outcome(value <= limit, f"{why}; limit {limit:.0%}", {"value": value, "limit": limit})


def _at_least(value: float | None, limit: float, what: str) -> Outcome:
    if value is None:
        return Outcome(True, f"{what} was not measured")
    why = f"{what} of the recommended model is {value:.3f}, at least {limit:g} is asked for"
    return Outcome(value >= limit, why, {"value": value, "limit": limit})


_DATA = re.compile(r"^data:image/(?:jpeg|png|gif|webp);base64,(.+)$", re.DOTALL)


class _Page(HTMLParser):
    """Collects the addresses that a page loads, and whether it is whole."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.is_whole = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        loads = {"img": "src", "script": "src", "link": "href", "video": "src", "iframe": "src"}
        self.loaded += [value for name, value in attrs if name == loads.get(tag) and value]

    def handle_endtag(self, tag: str) -> None:
        self.is_whole = self.is_whole or tag == "html"


@_check()
def report_opens(checked: Checked) -> Outcome:
    """The page is whole, and each of its images can be read without the network."""
    from PIL import Image, UnidentifiedImageError

    page = _Page()
    page.feed((checked.artifact.folder / "report.html").read_text(encoding="utf-8"))
    images = 0
    for address in page.loaded:
        match = _DATA.match(address)
        if match is None:
            return Outcome(False, f"the page loads {address[:80]!r} from elsewhere")
        try:
            with Image.open(io.BytesIO(base64.b64decode(match[1], validate=True))) as image:
                image.verify()
        except (binascii.Error, UnidentifiedImageError, OSError, SyntaxError) as exc:
            return Outcome(False, f"image {images + 1} of the page cannot be read: {exc}")
        images += 1
    why = f"{images} images" if page.is_whole else "the page ends before its end"
    return Outcome(page.is_whole, why, {"images": images})


@_check(by_hand=True)
def stored_as_published(checked: Checked) -> Outcome:
    """Every stored file has the digest that it was published under."""
    try:
        checked.artifact.verify()
    except StorageError as exc:
        return Outcome(False, str(exc))
    return Outcome(True, "every file is as it was published")
