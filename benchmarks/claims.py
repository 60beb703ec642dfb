"""Measure what recipes do to style and to memory of the base: ``python -m benchmarks.claims``.

The starter is fine-tuned on Twemoji's animals, plants and food by recipes that differ in one
switch, and asked for vehicles, buildings, tools and instruments. What is made is kept, so a killed
run resumes where it stopped.
"""

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from benchmarks.study.experiments import BASE, Experiment, chosen
from benchmarks.study.image import side_by_side
from benchmarks.study.measure import Judges, Measure, mean_of
from benchmarks.study.report import as_json, as_markdown, put_between_marks
from benchmarks.study.scale import COMPLETE, QUICK
from benchmarks.study.study import Study
from styledag.cli.bars import shown_progress
from styledag.models.compute import ComputeSettings, resolve_compute
from styledag.sampling.marking import mark_png
from styledag.store.store import Store

ROOT = Path(__file__).resolve().parent.parent
SHOWN_SUBJECTS = 8
"""Columns of the image."""


def measured(
    study: Study, experiments: Sequence[Experiment], seeds: Sequence[int], out: Path
) -> dict[str, Any]:
    """Make and measure experiments, and write figures and image after each.

    Args:
        study: What makes them.
        experiments: Which.
        seeds: Run seeds of the trainings.
        out: Folder of ``claims.json``, ``claims.md`` and ``claims.png``.

    Returns:
        The figures, as they stand in ``claims.json``.
    """
    out.mkdir(parents=True, exist_ok=True)
    judges = Judges(study, study.store.files.cache / "work")
    measures: dict[str, Mapping[str, Measure]] = {}
    figures: dict[str, Any] = {}
    for at, each in enumerate(experiments, start=1):
        print(f"{each.name}: {each.switch}", flush=True)
        of_seeds = [judges.measures(each, seed) for seed in seeds]
        measures[each.name] = {
            name: mean_of([one[name] for one in of_seeds]) for name in of_seeds[0]
        }
        figures = as_json(
            _about(study, experiments[:at], seeds),
            experiments[:at],
            measures,
            {one.name: study.unet(one, seeds[0]).facts for one in experiments[:at]},
        )
        (out / "claims.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (out / "claims.md").write_text(as_markdown(figures), encoding="utf-8")
        buffer = io.BytesIO()
        _image(study, experiments[:at], seeds[0]).save(buffer, "PNG", optimize=True)
        (out / "claims.png").write_bytes(mark_png(buffer.getvalue()))
    return figures


def _about(study: Study, experiments: Sequence[Experiment], seeds: Sequence[int]) -> dict[str, Any]:
    trained = [each for each in experiments if each.model is None]
    seconds = sum(study.unet(each, seed).facts["seconds"] for each in trained for seed in seeds)
    return {
        "base_version": study.base.version,
        "scorer_version": study.scorer.version,
        "device": study.compute.device.type,
        "dtype": str(study.compute.dtype).removeprefix("torch."),
        "training": sum(each.role == "train" for each in study.images),
        "samples": len(study.scale.subjects) * len(study.scale.seeds),
        "run_seeds": list(seeds),
        "minutes": round(seconds / 60, 1),
    }


def _image(study: Study, experiments: Sequence[Experiment], seed: int) -> Image.Image:
    scale = study.scale
    every = max(1, len(scale.outside) // (SHOWN_SUBJECTS - 2))
    subjects = (*scale.in_style[:2], *scale.outside[::every])[:SHOWN_SUBJECTS]
    rows = {}
    for each in (None, *experiments):
        files = study.samples(each, seed)
        label = BASE if each is None else each.name
        rows[label] = [files[subject, scale.seeds[0]] for subject in subjects]
    return side_by_side(rows, subjects)


def main() -> None:
    """Make and measure the experiments that the command line names, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starter", type=Path, default=ROOT / "data" / "starter")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "claims")
    parser.add_argument("--docs", type=Path, help="folder whose training.md gets the figures")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="experiments to make")
    parser.add_argument("--run-seeds", nargs="+", type=int, default=[0], metavar="SEED")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--quick", action="store_true", help="the version of a few minutes")
    arguments = parser.parse_args()
    if arguments.quick and arguments.docs:
        parser.error("--quick is too small for the documents: leave out --docs")
    try:
        experiments = chosen(tuple(arguments.only))
    except ValueError as exc:
        parser.error(str(exc))
    study = Study(
        store=Store(str(arguments.work / "store")),
        starter=arguments.starter,
        scale=QUICK if arguments.quick else COMPLETE,
        compute=resolve_compute(ComputeSettings(device=arguments.device, dtype=arguments.dtype)),
        progress=shown_progress(Console(stderr=True)),
    )
    out = arguments.docs or arguments.work / ("quick" if arguments.quick else "complete")
    figures = measured(study, experiments, tuple(arguments.run_seeds), out)
    tables = as_markdown(figures)
    if arguments.docs:
        put_between_marks(arguments.docs / "training.md", tables)
        (arguments.docs / "claims.md").unlink()
    sys.stdout.write(f"\n{tables}")


if __name__ == "__main__":
    main()
