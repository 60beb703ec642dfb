"""Each check passes what is sound, and fails what is not, with a sentence that names it."""

import base64
import io
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image

from styledag.graph import checks
from styledag.graph.checks import Check, Checked, Outcome, failed_errors
from styledag.store.artifact import Artifact, Input
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace
from styledag.style.checks import CheckName
from styledag.style.load import load_style
from styledag.style.model import Style
from styledag_tests.whole.small_project import STYLE, make_project


@pytest.fixture
def style(tmp_path: Path) -> Style:
    project = make_project(tmp_path / "project", Path("/starter"), "http://127.0.0.1:1")
    return load_style(project.styles_folder / f"{STYLE}.yaml")


def made(
    store: Store,
    asset: str,
    facts: Mapping[str, Any],
    files: Mapping[str, str] | None = None,
    *,
    partition: str = STYLE,
    settings: Mapping[str, Any] | None = None,
    inputs: tuple[Input, ...] = (),
) -> Artifact:
    def body(workspace: Workspace) -> Mapping[str, Any]:
        for name, content in (files or {"content": json.dumps(facts)}).items():
            (workspace.folder / name).write_text(content)
        return facts

    target = Target(
        asset=asset,
        partition=partition,
        code_version=json.dumps(facts),
        settings=settings or {},
        inputs=inputs,
    )
    return store.build(target, body).artifact


def look(check: Check, artifact: Artifact, style: Style, store: Store) -> Outcome:
    return check.look(Checked(artifact, style, store))


def test_an_image_that_is_in_no_count_is_found(store: Store, style: Style) -> None:
    facts = {"found": 5, "kept": 3, "rejected_small": 1, "rejected_copy": 1}
    assert look(checks.nothing_lost, made(store, "captions", facts), style, store).passed
    lost = look(checks.nothing_lost, made(store, "captions", {**facts, "found": 6}), style, store)
    assert not lost.passed
    assert lost.why == "6 found, 3 kept, 2 rejected"


@pytest.mark.parametrize(("share", "passed"), [(0.5, True), (0.51, False)])
def test_a_captioner_that_repeats_itself_is_found(
    store: Store, style: Style, share: float, *, passed: bool
) -> None:
    facts = {"commonest_caption_share": share, "commonest_caption": "a cartoon", "kept": 100}
    outcome = look(checks.captions_vary, made(store, "captions", facts), style, store)
    assert outcome.passed == passed
    assert outcome.why.startswith(f"{share:.0%} of the images have the caption 'a cartoon'")


@pytest.mark.parametrize(("wanted", "passed"), [("en", False), ("de", False), (None, True)])
def test_captions_in_another_language_are_found(
    store: Store, style: Style, wanted: str | None, *, passed: bool
) -> None:
    facts = {"kept": 9, "languages": {"captioner": "en", "title of w": "de", "alt of w": "und"}}
    limits = replace(style.checks, caption_language=wanted)
    style = style.model_copy(update={"checks": limits})
    outcome = look(checks.captions_language, made(store, "captions", facts), style, store)
    assert outcome.passed == passed
    if wanted == "en":
        assert outcome.why == "title of w is de, but checks.caption_language is en"


def test_too_few_words_are_in_no_wrong_language(store: Store, style: Style) -> None:
    assert look(checks.captions_language, made(store, "captions", {}), style, store).passed


@pytest.mark.parametrize(("cut", "passed"), [(10, True), (11, False)])
def test_captions_that_do_not_fit_are_counted(
    store: Store, style: Style, cut: int, *, passed: bool
) -> None:
    facts = {"cut_to_fit": cut, "kept": 100}
    outcome = look(checks.captions_fit, made(store, "captions", facts), style, store)
    assert outcome.passed == passed


def dataset_after(store: Store, trained: int, now: int) -> Artifact:
    old = made(store, "image_dataset", {"train": trained - 10, "validation": 10})
    encoded = made(
        store, "encoded_dataset", {}, partition=f"{STYLE}.full", inputs=(old.as_input(),)
    )
    made(store, "ema_unet", {}, partition=f"{STYLE}.full", inputs=(encoded.as_input(),))
    return made(store, "image_dataset", {"train": now - 5, "validation": 5})


def test_a_first_dataset_has_nothing_to_shrink_from(store: Store, style: Style) -> None:
    dataset = made(store, "image_dataset", {"train": 3, "validation": 0})
    assert look(checks.dataset_not_shrunk, dataset, style, store).passed


@pytest.mark.parametrize(("now", "passed"), [(120, True), (80, True), (79, False)])
def test_a_dataset_is_compared_with_that_of_the_last_training(
    store: Store, style: Style, now: int, *, passed: bool
) -> None:
    outcome = look(checks.dataset_not_shrunk, dataset_after(store, 100, now), style, store)
    assert outcome.passed == passed
    assert outcome.why.startswith(f"{now} images, after 100 of the last training")


def test_only_errors_stop_what_follows(store: Store, style: Style) -> None:
    checked = Checked(dataset_after(store, 100, 50), style, store)
    (sentence,) = failed_errors((checks.dataset_not_shrunk,), checked)
    assert sentence.startswith("dataset_not_shrunk: 50 images, after 100")
    assert "raise checks.max_shrink_share" in sentence
    repeated = made(store, "captions", {"commonest_caption_share": 0.9, "kept": 9})
    assert failed_errors((checks.captions_vary,), Checked(repeated, style, store)) == []
    limits = replace(style.checks, errors=("captions_vary",))
    named = Checked(repeated, style.model_copy(update={"checks": limits}), store)
    assert len(failed_errors((checks.captions_vary,), named)) == 1


def trained(
    store: Store, losses: list[float], *, ema: Mapping[str, Any] | None = None, **facts: Any
) -> Artifact:
    log = [{"step": at, "loss": loss, "grad_norm": 1.0} for at, loss in enumerate(losses, start=1)]
    mode = facts.pop("mode", "base")
    figures = {"base_share": 0.3, "newest_share": 0.02, **facts}
    files = {"training_log.json": json.dumps(log)}
    return made(
        store, "ema_unet", figures, files, settings={"Recipe": {"ema": ema or {"mode": mode}}}
    )


def test_a_loss_that_is_not_finite_names_its_step(store: Store, style: Style) -> None:
    assert look(checks.loss_finite, trained(store, [0.2, 0.1]), style, store).passed
    outcome = look(checks.loss_finite, trained(store, [0.2, math.nan, 0.1], x=1), style, store)
    assert not outcome.passed
    assert outcome.why == "loss or gradient is not finite in 1 of 3 steps, first in step 2"


NOISE = [0.01 * (-1) ** at for at in range(100)]


@pytest.mark.parametrize(
    ("slope", "passed"),
    [(-0.001, True), (0.0, True), (0.001, False)],
    ids=["falls", "flat", "rises"],
)
def test_a_loss_that_rises_is_found_through_its_noise(
    store: Store, style: Style, slope: float, *, passed: bool
) -> None:
    losses = [0.5 + slope * at + NOISE[at] for at in range(100)]
    assert look(checks.loss_falls, trained(store, losses), style, store).passed == passed


def test_too_few_steps_have_no_trend(store: Store, style: Style) -> None:
    assert look(checks.loss_falls, trained(store, [0.1, 0.2, 0.3]), style, store).passed


@pytest.mark.parametrize(
    ("facts", "passed"),
    [
        ({}, True),
        ({"base_share": 0.995}, False),
        ({"newest_share": 1.0}, False),
        ({"newest_share": 1.0, "mode": "none"}, True),
    ],
)
def test_an_average_that_is_base_or_newest_weights_is_found(
    store: Store, style: Style, facts: dict[str, Any], *, passed: bool
) -> None:
    artifact = trained(store, [0.1], **facts)
    assert look(checks.average_is_its_own, artifact, style, store).passed == passed


@pytest.mark.parametrize(
    ("share", "ema", "remedy"),
    [
        ("base_share", {"mode": "base", "base_share": 0.995}, "lower ema.base_share"),
        ("base_share", {"mode": "base", "decay": 0.9999}, "lower ema.decay or train longer"),
        ("newest_share", {"mode": "base", "decay": 0.001}, "raise ema.decay"),
        ("newest_share", {"mode": "base", "base_share": 1e-9}, "raise ema.base_share or train"),
        ("newest_share", {"mode": "warmup", "decay": 0.001}, "raise ema.decay"),
        ("newest_share", {"mode": "power"}, "raise ema.lengths or train longer"),
    ],
)
def test_the_remedy_for_an_average_that_is_none_is_a_setting_of_its_mode(
    store: Store, style: Style, share: str, ema: Mapping[str, Any], remedy: str
) -> None:
    artifact = trained(store, [0.1], ema=ema, **{share: 0.995})
    assert f": {remedy}" in look(checks.average_is_its_own, artifact, style, store).why


def scored(store: Store, **values: float | None) -> Artifact:
    scores = {name: {"value": None} for name in ("copying", "style_learned", "base_remembered")}
    best = {**scores, **{name: {"value": value} for name, value in values.items()}}
    rows = [{**scores, "recommended": False}, {**best, "recommended": True}]
    return made(store, "scores", values, {"scores.json": json.dumps({"scores": rows})})


@pytest.mark.parametrize(
    ("check", "score", "value", "passed"),
    [
        (checks.copying_within_limit, "copying", 0.05, True),
        (checks.copying_within_limit, "copying", 0.06, False),
        (checks.copying_within_limit, "copying", None, True),
        (checks.style_learned, "style_learned", 0.1, True),
        (checks.style_learned, "style_learned", -0.1, False),
        (checks.base_remembered, "base_remembered", 0.8, True),
        (checks.base_remembered, "base_remembered", 0.4, False),
    ],
)
def test_the_recommended_model_is_judged(
    store: Store, style: Style, check: Check, score: str, value: float | None, *, passed: bool
) -> None:
    outcome = look(check, scored(store, **{score: value}), style, store)
    assert outcome.passed == passed
    assert ("not measured" in outcome.why) == (value is None)


def jpeg() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("<html><img src='{image}'></html>", "1 images"),
        ("<html><img src='{image}'>", "ends before its end"),
        ("<html><img src='http://elsewhere/a.png'></html>", "loads 'http://elsewhere/a.png'"),
        ("<html><img src='data:image/png;base64,AAAA'></html>", "cannot be read"),
    ],
)
def test_a_report_is_whole_and_needs_nothing_from_elsewhere(
    store: Store, style: Style, page: str, why: str
) -> None:
    content = page.replace("{image}", jpeg())
    artifact = made(store, "model_report", {"page": why}, {"report.html": content})
    outcome = look(checks.report_opens, artifact, style, store)
    assert outcome.passed == (why == "1 images")
    assert why in outcome.why


def test_a_damaged_file_is_named(store: Store, style: Style) -> None:
    artifact = made(store, "checkpoint", {}, {"weights": "as published"})
    assert look(checks.stored_as_published, artifact, style, store).passed
    (artifact.folder / "weights").write_text("otherwise")
    outcome = look(checks.stored_as_published, artifact, style, store)
    assert not outcome.passed
    assert "weights" in outcome.why


def test_every_check_can_be_named_an_error() -> None:
    made = [each for each in vars(checks).values() if isinstance(each, Check)]
    assert sorted(each.name for each in made) == sorted(get_args(CheckName))
    assert all(each.description for each in made)
