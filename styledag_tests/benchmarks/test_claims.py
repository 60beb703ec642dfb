"""The study of the seeds' claims: its table, its verdicts, and all of it on a starter that knows
nothing."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.claims import measured
from benchmarks.study.claims import CLAIMS, MEMORY, STYLE, Claim, Found, judged
from benchmarks.study.experiments import EXPERIMENTS, chosen
from benchmarks.study.images import dataset_of, store_images
from benchmarks.study.measure import Measure, mean_of
from benchmarks.study.report import BEGIN, END, as_markdown, put_between_marks
from benchmarks.study.scale import COMPLETE, QUICK, Scale
from benchmarks.study.study import Study
from styledag.errors import DataError
from styledag.models.compute import Compute
from styledag.progress import SilentProgress
from styledag.sampling.marking import mark_of
from styledag.scoring.records import Estimate
from styledag.settings import settings_identity
from styledag.store.store import Store

PAIRS = [(f"subject {at}", 0) for at in range(20)]


def figure(values: Sequence[float]) -> Measure:
    array = np.array(values)
    return Measure(lambda counts: float((counts * array).sum() / counts.sum()), PAIRS)


@pytest.mark.parametrize("scale", [COMPLETE, QUICK])
def test_trained_experiments_differ_from_the_first_in_one_switch(scale: Scale) -> None:
    first = settings_identity(EXPERIMENTS[0].recipe(scale, 0))
    for experiment in EXPERIMENTS[1:]:
        recipe = settings_identity(experiment.recipe(scale, 0))
        differing = {name for name in first if recipe[name] != first[name]}
        if experiment.model is not None:
            assert not experiment.changes, experiment.name
        elif differing != {"instance_prompt", "prior"}:  # DreamBooth is both
            assert len(differing) + (experiment.images != "style") in (1, 2), experiment.name
            assert len(differing) <= 1, experiment.name


def test_claims_name_experiments_and_each_name_is_used_once() -> None:
    names = Counter(each.name for each in EXPERIMENTS)
    assert set(names.values()) == {1}
    assert {claim.more for claim in CLAIMS} | {claim.less for claim in CLAIMS} <= set(names)


def test_an_experiment_brings_the_one_whose_unet_it_takes() -> None:
    assert [each.name for each in chosen(("raw-blend",))] == ["raw", "raw-blend"]
    assert chosen(()) == EXPERIMENTS
    with pytest.raises(ValueError, match="no experiment 'fulll'"):
        chosen(("fulll",))


@pytest.mark.parametrize(
    ("more", "less", "verdict"),
    [(0.9, 0.5, "reproduces"), (0.5, 0.9, "the opposite"), (0.5, 0.5, "not shown")],
)
def test_a_verdict_follows_from_the_difference_on_the_same_subjects(
    more: float, less: float, verdict: str
) -> None:
    # Subjects differ far more than the experiments do, which must not hide the difference.
    subjects = np.linspace(-10, 10, len(PAIRS))
    jitter = np.random.default_rng(0).normal(0, 0.1, len(PAIRS))
    claim = CLAIMS[0]
    measures = {
        claim.more: dict.fromkeys(MEMORY + STYLE, figure(subjects + more + jitter)),
        claim.less: dict.fromkeys(MEMORY + STYLE, figure(subjects + less - jitter)),
    }
    found = [each for each in judged(measures) if each.claim == claim]
    assert [each.claim for each in found] == [claim] * len(claim.measures)
    assert {each.verdict for each in found} == {verdict}


def test_a_claim_that_cannot_be_measured_has_no_verdict() -> None:
    claim = Claim(says="", more="a", less="b", measures=("style",))
    nothing = Estimate()
    found = Found(claim=claim, measure="style", more=nothing, less=nothing, difference=nothing)
    assert found.verdict == "not measurable"


def test_repeated_trainings_are_averaged_and_resampled_together() -> None:
    values = np.linspace(0, 1, len(PAIRS))
    once, twice = figure(values), mean_of([figure(values), figure(values)])
    assert twice.estimate() == once.estimate()
    assert mean_of([figure(values), figure(values + 1)]).estimate().value == pytest.approx(1.0)


def test_the_style_the_family_and_what_lies_outside_do_not_overlap(store: Store) -> None:
    images = store_images(store.blobs, training=50)
    roles = Counter(each.role for each in images)
    assert roles["train"] == 50
    assert roles["family"] == 24
    assert min(roles["validation"], roles["outside"]) > 30
    counts = {}
    for name in ("style", "family", "capped"):
        samples = dataset_of(images, name)
        assert len({each.id for each in samples}) == len(samples)
        counts[name] = sum(each.split == "train" for each in samples)
    assert counts == {"style": 50, "family": 74, "capped": 54}


def test_figures_are_put_between_the_marks_of_a_document(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_between_marks(page, "new\n")
    put_between_marks(page, "newer\n")
    assert page.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(DataError, match="lacks the lines"):
        put_between_marks(page, "new\n")


@pytest.mark.slow
def test_a_study_is_measured_once_and_then_found(tmp_path: Path, starter: Path) -> None:
    tiny = dataclasses.replace(
        QUICK,
        training=8,
        epochs=1,
        lr_warmup_steps=0,
        num_inference_steps=2,
        outside=("a car", "a bus"),
    )
    study = Study(
        store=Store(str(tmp_path / "store")),
        starter=starter,
        scale=tiny,
        compute=Compute(torch.device("cpu"), torch.float32),
        progress=SilentProgress(),
    )
    experiments = chosen(("full", "raw-blend", "family-capped"))
    out = tmp_path / "out"
    figures = measured(study, experiments, (0,), out)
    assert json.loads((out / "claims.json").read_text()) == json.loads(json.dumps(figures))
    assert (out / "claims.png").stat().st_size > 1000
    assert mark_of((out / "claims.png").read_bytes())
    assert {each["name"] for each in figures["experiments"]} == {
        "full",
        "raw",
        "raw-blend",
        "family-capped",
    }
    for each in figures["experiments"]:
        assert each["measures"]["remembered"]["value"] > 0
        assert f"| `{each['name']}` |" in as_markdown(figures)
    assert figures["experiments"][0]["facts"]["base_share"] == pytest.approx(0.2)
    assert figures["experiments"][2]["facts"]["base_share"] == pytest.approx(0.2)

    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.json")}
    assert measured(dataclasses.replace(study), experiments, (0,), out) == figures
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert len(written) == len(list((tmp_path / "store").rglob("*.json")))
