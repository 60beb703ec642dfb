"""The page as HTML: templates, style sheet and script put together, everything escaped."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from markupsafe import Markup

from styledag.report import shown, wording
from styledag.report.images import Album
from styledag.report.loss_chart import loss_chart, not_finite
from styledag.report.model import ModelReport
from styledag.report.score_chart import score_chart
from styledag.scoring.records import ScoreRow
from styledag.templates import templates

_FOLDER = Path(__file__).parent


def render(report: ModelReport, stills: Album, animations: Album) -> str:
    """Return the whole page."""
    weights, snapshots = shown.weight_stops(report), shown.snapshot_stops(report)
    return page(
        "report.html.j2",
        report=report,
        images={**stills.images, **animations.images},
        stills=stills,
        animations=animations,
        weights=weights,
        has_lengths=any(blend.length is not None for blend in report.blends),
        weight_start=shown.first_shown(weights),
        snapshots=snapshots,
        snapshot_start=shown.first_shown(snapshots),
        best_score=_best_score(report),
        compared=shown.compared_versions(report),
        base_share=next((s.base_share for s in reversed(report.snapshots)), None),
        loss_chart=loss_chart(report.loss, report.snapshots),
        losses_not_finite=not_finite(report.loss),
        score_chart=score_chart(report),
        prompt_score=next((row for row in report.scores if row.kind == "prompt"), None),
        recipe=shown.recipe_rows(report.recipe),
        steps={step.version: index for index, step in enumerate(report.lineage, start=1)},
    )


def page(template: str, **values: Any) -> str:
    """Return a page with style sheet and script in it, which nothing outside can add to."""
    environment = templates(_FOLDER)
    environment.filters |= {
        "plain": wording.plain,
        "web_address": wording.web_address,
        "short_version": wording.short_version,
        "number": wording.number,
        "percent": wording.percent,
        "setting": wording.setting,
    }
    environment.globals.update(
        max_nearest=shown.MAX_NEAREST,
        max_families=shown.MAX_FAMILIES,
        max_drawn=shown.MAX_DRAWN,
        max_captions=shown.MAX_CAPTIONS,
    )
    style, script = _asset("report.css"), _asset("report.js")
    return environment.get_template(template).render(
        style=style, script=script, policy=_policy(style, script), **values
    )


def _best_score(report: ModelReport) -> ScoreRow | None:
    for row in report.scores:
        if report.is_recommended(row.name):
            return row
    return None


def _asset(name: str) -> Markup:
    return Markup((_FOLDER / name).read_text(encoding="utf-8"))


def _policy(style: str, script: str) -> str:
    """Return a content security policy: nothing runs and nothing loads but what is inlined."""
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
