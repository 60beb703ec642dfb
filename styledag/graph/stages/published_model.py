"""A model with its card on the Hub, or in a folder of the same layout, with `publish.models`.

The fine-tune, or the blend that `publish.blend` names, in one commit under a tag of the version.
Only what changed is uploaded; a version that is there is left alone.
"""

from styledag.graph.blending.base import MERGED_PARTS, blended_base, has_parts
from styledag.graph.blends import Blend
from styledag.graph.drawing import MERGED_VAE, READS_DECODER, WHOLE_BASE
from styledag.graph.exports.exportable import Exportable, blend_key, check_base
from styledag.graph.exports.exported_card import CardTerms
from styledag.graph.exports.publication import located, publish_model, record
from styledag.graph.lineage import trace_among
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage, uses_base
from styledag.publishing.hub.settings import PublishSettings
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def publish(inputs: Inputs, workspace: Workspace) -> Facts:
    """Publish the model and keep the card."""
    settings, target = inputs.settings.of(PublishSettings), inputs.settings["target"]
    staging = workspace.scratch / "content"
    where = located(target, settings, inputs.root)
    terms = CardTerms.of(settings, target=target)
    facts = publish_model(_exportable(inputs), where, settings, staging, terms)
    workspace.work["uploads"] += facts["uploaded"]
    record(facts, target, staging, workspace.folder)
    return facts


def _exportable(inputs: Inputs) -> Exportable:
    base, blend = inputs.models["base_unet"], inputs.settings.of(PublishSettings).blend
    tuned = inputs.upstream["ema_unet"]
    check_base(tuned, base.version, base.reference.model)
    model = tuned if blend is None else inputs.every("merged_unet")[Blend.parse(blend).key]
    vae = inputs.upstream.get(MERGED_VAE)
    parts = None if blend is None else inputs.every(MERGED_PARTS).get(Blend.parse(blend).key)
    return Exportable(
        model=model,
        traced=trace_among(inputs.ancestors, model),
        base=blended_base(inputs.models["base"], parts).folder,
        root=inputs.root,
        vae=None if vae is None else vae.folder,
        grid=inputs.every("sample_grid").get(blend_key(model)),
        scores=inputs.upstream["scores"],
        description=inputs.settings["description"],
        prompts=inputs.settings["prompts"],
    )


def _is_asked_for(declared: Declaration) -> bool:
    publish = declared.style.publish
    return publish is not None and publish.models is not None


def _publishes_blend(declared: Declaration) -> bool:
    return bool(declared.style.publish and declared.style.publish.blend)


def _settings(declared: Declaration) -> Settings:
    style, publish = declared.style, declared.style.publish or PublishSettings()
    return Settings(
        publish,
        target=publish.model_target(declared.partition.recipe),
        description=style.description,
        prompts=style.samples.prompts,
    )


STAGE = Stage(
    name="published_model",
    grain="model",
    description=__doc__,
    group="publishing",
    kinds=frozenset({"huggingface", "diffusers"}),
    code_version="5",
    run=publish,
    is_asked_for=_is_asked_for,
    settings=_settings,
    acts_outside=True,
    reads=(
        Reads("ema_unet", with_ancestors=True),
        Reads(
            "merged_unet",
            when=_publishes_blend,
            with_ancestors=True,
        ),
        Reads(
            MERGED_PARTS, when=lambda declared: _publishes_blend(declared) and has_parts(declared)
        ),
        Reads("sample_grid"),
        Reads("scores"),
        READS_DECODER,
    ),
    uses=(uses_base("base_unet", lambda parts: parts.training), WHOLE_BASE),
)
