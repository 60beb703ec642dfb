"""What each image shows, one row an image.

The raw caption, the cleaned caption, and where it is from: BLIP, the page, or a person, who
always wins.
"""

from collections.abc import Mapping

from styledag.captions import caption
from styledag.captions.agreement import read_agreement
from styledag.captions.captioner import processor_backend
from styledag.captions.cleaning.rules import RULES_VERSION
from styledag.captions.records import CaptionedImage
from styledag.captions.remembered_tokens import RememberedTokens
from styledag.captions.settings import CaptionSettings
from styledag.graph.checks import captions_fit, captions_language, captions_vary, nothing_lost
from styledag.graph.previews import first_images
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage, Uses, uses_base
from styledag.images.records import CuratedImage
from styledag.manifest import Manifest
from styledag.settings import canonical_json
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

_OVERRIDES = "captions.overrides"


def caption_curated(inputs: Inputs, workspace: Workspace) -> Facts:
    """Caption every curated image."""
    from styledag.bases.find import find_base
    from styledag.captions.facts import caption_facts
    from styledag.captions.find import find_captioner

    settings = inputs.settings.of(CaptionSettings)
    captioner = find_captioner(
        settings, inputs.models.get("captioner"), inputs.compute, workspace.work
    )
    tokenizer = inputs.models["base_tokenizer"]
    tokens = RememberedTokens(
        find_base(tokenizer.folder).tokens, version=tokenizer.version, folder=workspace.kept
    )
    overrides = inputs.files.get(_OVERRIDES)
    manifest = caption.caption_images(
        Manifest.read(inputs.folder("curated_images"), CuratedImage),
        settings,
        workspace,
        captioner=captioner,
        tokens=tokens,
        overrides=overrides,
        made_by=canonical_json(
            [
                caption.CODE_VERSION,
                inputs.settings.identity,
                {role: model.version for role, model in inputs.models.items()},
            ]
        ),
    )
    facts = caption_facts(
        manifest,
        tokens,
        items=workspace.items,
        overrides=overrides,
        agreement=read_agreement(workspace.folder),
    )
    tokens.save()
    return facts


def _settings(declared: Declaration) -> Settings:
    return Settings(declared.style.captions, rules=RULES_VERSION, processor=processor_backend())


def _files(declared: Declaration) -> Mapping[str, str]:
    path = declared.style.captions.overrides
    return {} if path is None else {_OVERRIDES: path}


STAGE = Stage(
    name="captions",
    grain="style",
    description=__doc__,
    group="images",
    kinds=frozenset({"transformers", "huggingface"}),
    code_version=caption.CODE_VERSION,
    run=caption_curated,
    settings=_settings,
    reads=(Reads("curated_images"),),
    uses=(
        Uses("captioner", lambda declared: declared.style.captions.captioner),
        uses_base("base_tokenizer", lambda parts: parts.tokenizers),
    ),
    files=_files,
    pool="gpu",
    preview=first_images(CaptionedImage, lambda row: row.image.sha256),
    checks=(nothing_lost, captions_vary, captions_fit, captions_language),
)
