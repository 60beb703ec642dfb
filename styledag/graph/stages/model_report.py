"""One self-contained page about a model, one a model: images, scores, data, lineage."""

from styledag.graph.blending.base import READS_PARTS
from styledag.graph.blending.swept import READS_SWEEP
from styledag.graph.checks import report_opens
from styledag.graph.drawing import READS_DECODER
from styledag.graph.reporting.report_contents import model_report
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage
from styledag.report import report
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def write_page(inputs: Inputs, workspace: Workspace) -> Facts:
    """Write the page about a model."""
    return report.write_report(model_report(inputs, workspace), workspace.folder)


def _settings(declared: Declaration) -> Settings:
    style = declared.style
    return Settings(
        style.samples,
        style.blends,
        description=style.description,
        scorer=style.scores.scorer.model,
        classifier=style.scores.classifier,
        style_prompt=style.scores.style_prompt,
        ip_adapter=style.scores.ip_adapter,
        decoder=declared.recipe.decoder,
    )


STAGE = Stage(
    name="model_report",
    grain="model",
    description=__doc__,
    group="results",
    kinds=frozenset({"html"}),
    code_version=report.CODE_VERSION,
    run=write_page,
    settings=_settings,
    former_by="ema_unet",
    reads=(
        Reads("ema_unet", with_ancestors=True),
        Reads("merged_unet"),
        Reads(READS_PARTS.asset, READS_PARTS.when, with_ancestors=True),
        Reads("sample_grid"),
        READS_SWEEP,
        Reads("evolution"),
        Reads("denoising"),
        Reads("scores"),
        Reads(READS_DECODER.asset, READS_DECODER.when, with_ancestors=True),
    ),
    checks=(report_opens,),
)
