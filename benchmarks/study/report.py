"""The figures as JSON and as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.study.claims import judged
from benchmarks.study.experiments import Experiment
from benchmarks.study.measure import Measure
from styledag.errors import DataError

BEGIN, END = "<!-- figures of benchmarks/claims.py: begin -->", "<!-- end -->"
COLUMNS = {
    "learned": "style learned",
    "remembered": "base remembered",
    "style": "style, CLIP",
    "retention": "retention, CLIP",
    "text": "text, CLIP",
    "copying": "copies",
    "family": "clocks",
}
NAMES = COLUMNS | {
    "family_likeness": "likeness to a clock, CLIP",
    "family_likeness_pixels": "likeness to a clock, pixels",
}


def as_json(
    about: Mapping[str, Any],
    experiments: Sequence[Experiment],
    measures: Mapping[str, Mapping[str, Measure]],
    facts: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return all figures, and the claims' verdicts, as plain JSON values.

    Args:
        about: What all figures rest on.
        experiments: The experiments that were made.
        measures: By experiment and name.
        facts: Each experiment's facts of training.
    """
    return {
        "about": dict(about),
        "experiments": [
            {
                "name": each.name,
                "switch": each.switch,
                "facts": dict(facts[each.name]),
                "measures": {
                    name: asdict(one.estimate()) for name, one in measures[each.name].items()
                },
            }
            for each in experiments
        ],
        "claims": [asdict(each) | {"verdict": each.verdict} for each in judged(measures)],
    }


def as_markdown(figures: Mapping[str, Any]) -> str:
    """Return the tables of :func:`as_json`'s figures."""
    about = figures["about"]
    lines = [
        f"Starter `{about['base_version'][:12]}`, {about['training']} training images, "
        f"{about['samples']} samples of each recipe, run seeds {about['run_seeds']}, "
        f"{about['device']}, {about['dtype']}, {about['minutes']} minutes of training in all. "
        "Brackets are 95 % intervals over prompts.",
        "",
        "| recipe | what differs | base left | " + " | ".join(COLUMNS.values()) + " | loss |",
        "|" + " --- |" * (len(COLUMNS) + 4),
    ]
    lines += [_experiment_row(each) for each in figures["experiments"]]
    lines += [
        "",
        "| claim | of | figures | difference | verdict |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [_claim_row(each) for each in figures["claims"]]
    return "\n".join(lines) + "\n"


def put_between_marks(path: Path, tables: str) -> None:
    """Replace what stands between the marks of a document.

    Args:
        path: Markdown file.
        tables: What shall stand there.

    Raises:
        DataError: If the document lacks the marks.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(f"{path} lacks the lines {BEGIN} and {END}: put the figures between them")
    path.write_text(f"{before}{begin}\n\n{tables}\n{end}{after}", encoding="utf-8")


def _experiment_row(each: Mapping[str, Any]) -> str:
    facts, measures = each["facts"], each["measures"]
    share = facts.get("base_share")
    loss = facts.get("validation_loss")
    cells = [
        f"`{each['name']}`",
        each["switch"],
        "" if share is None else f"{share:.0%}",
        *(_figure(measures[name]) for name in COLUMNS),
        "" if loss is None else f"{loss:.4f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _claim_row(each: Mapping[str, Any]) -> str:
    claim, measure = each["claim"], each["measure"]
    figures = f"`{claim['more']}` {_value(each['more'])}, `{claim['less']}` {_value(each['less'])}"
    difference = _figure(each["difference"], sign="+")
    return f"| {claim['says']} | {NAMES[measure]} | {figures} | {difference} | {each['verdict']} |"


def _value(estimate: Mapping[str, float | None]) -> str:
    value = estimate["value"]
    return "not measurable" if value is None else f"{value:.3f}"


def _figure(estimate: Mapping[str, float | None], *, sign: str = "") -> str:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return ""
    if low is None or high is None:
        return f"{value:{sign}.3f}"
    return f"{value:{sign}.3f} [{low:.3f}, {high:.3f}]"
