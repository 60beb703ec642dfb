"""What can be known to fail before anything is fetched or trained: one list for doctor and run."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

from styledag.bases.ip_adapter import ip_adapter_base
from styledag.captions.endpoint import ask_endpoint
from styledag.captions.find import check_captioner
from styledag.captions.overrides import read_overrides
from styledag.collect.probe import ask_source, check_source
from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.distilled import distilled_remark
from styledag.graph.checking.finding import Finding, checked
from styledag.graph.checking.mixed_check import missing_styles, mixed_mismatches, outside_mismatches
from styledag.graph.checking.packages_check import (
    check_captioner_packages,
    check_packages,
    check_torchvision,
)
from styledag.graph.checking.parts_check import check_not_quantised, check_stored_parts
from styledag.graph.checking.passed import passed_key
from styledag.graph.checking.publication_check import check_publication
from styledag.graph.checking.training_check import check_steps, check_training
from styledag.graph.names import Partition
from styledag.graph.stage import Declaration
from styledag.images.overlaid_text import reader_version
from styledag.images.review import Review, read_review
from styledag.models.compute import ComputeSettings
from styledag.models.config import read_config
from styledag.models.reference import ModelReference, check_model
from styledag.models.tensor_shapes import tensor_shapes
from styledag.scoring.classifier import check_classifier, one_label
from styledag.scoring.embedding_scorer import check_scorer
from styledag.style.base_check import Mismatch, mismatches
from styledag.style.load import style_lines
from styledag.style.model import Style
from styledag.style.yaml_lines import line_of
from styledag.tensors.layout import CONFIG_FILE

_PASSED = "preflight"
"""Kind of item under which it is kept which settings fitted which base."""


def require_ready(
    catalogue: Catalogue,
    style: str,
    recipes: Sequence[str],
    compute: ComputeSettings,
    *,
    assets: Collection[str] = (),
) -> None:
    """Check a style before a run of some of its recipes and assets, or of all when these are empty.

    Weights are searched for NaN, and what needs torch is checked, once until the style, its base or
    the device changes: the run of an unchanged style starts at once. Images alone need no base.

    Raises:
        StyledagError: One line for each check that fails, with what to do.
    """
    declared = catalogue.style(style)
    if assets and _are_images(catalogue, style, declared, assets):
        _raise_for(_unready_images(catalogue, style, declared, assets))
        return
    trained = [each for name, each in declared.recipes.items() if not recipes or name in recipes]
    failed = [*_failed(check_packages(style, trained)), *_failed(check_torchvision())]
    if failed:
        _raise_for(failed)  # before the Hub is asked
    failed += _failed(_check_models(catalogue, style, declared, reads_values=False))
    failed += _failed(_check_sources(catalogue, style, declared, asks=False))
    failed += _failed(_check_curation(catalogue, style, declared, assets))
    failed += _failed(check_publication(style, declared, recipes, asks=False))
    if not assets or "merged_unet" in assets:
        failed += _failed(_check_blends(catalogue, style, declared, reads_values=False))
    if not assets or "scores" in assets:
        failed += _check_other_styles(catalogue, style, declared)
    if not failed:
        key = passed_key(catalogue, declared, recipes, compute)
        if catalogue.store.items.get_json(_PASSED, key) is None:
            failed += _failed(_check_models(catalogue, style, declared, reads_values=True))
            failed += _failed(_check_blends(catalogue, style, declared, reads_values=True))
            failed += _failed(_check_fit(catalogue, style, declared, recipes, compute))
            if not failed:
                catalogue.store.items.put_json(_PASSED, key, True)
    _raise_for(failed)


def _are_images(catalogue: Catalogue, name: str, style: Style, assets: Collection[str]) -> bool:
    """Return whether assets are made of the sources alone, without the base."""
    stages = [catalogue.stages[asset] for asset in assets]
    references = [reference for _, reference in _uses(catalogue, name, style, assets)]
    return all(stage.grain == "style" for stage in stages) and style.base not in references


def _unready_images(
    catalogue: Catalogue, name: str, style: Style, assets: Collection[str]
) -> list[Finding]:
    used = dict(_uses(catalogue, name, style, assets))
    failed = list(_failed(_check_others(catalogue, name, used, reads_values=False)))
    failed += _failed(_check_curation(catalogue, name, style, assets))
    return [*failed, *_failed(_check_sources(catalogue, name, style, asks=False))]


def _uses(
    catalogue: Catalogue, name: str, style: Style, assets: Collection[str]
) -> Iterator[tuple[str, ModelReference]]:
    """Yield the models that assets of a style use, by role."""
    declared = Declaration(style, Partition(name))
    stages = [catalogue.stages[each] for each in assets]
    for stage in (each for each in stages if each.grain == "style"):
        for uses in stage.uses_of(declared):
            reference = uses.reference(declared)
            if reference is not None:
                yield uses.role, reference


def _raise_for(failed: Sequence[Finding]) -> None:
    if failed:
        raise StyledagError("\n".join(each.detail for each in failed))


def check_style(
    catalogue: Catalogue, name: str, recipes: Sequence[str], compute: ComputeSettings
) -> Iterator[Finding]:
    """Yield all checks of a style: its file, models, prompts, memory, disk and sources.

    All weights are read and searched for NaN, and each source is asked one question, as is an
    endpoint. The training of ``recipes`` is checked; of all of them when empty.
    """
    try:
        style = catalogue.style(name)
    except StyledagError as exc:
        yield Finding(f"style {name}", False, str(exc))
        return
    counts = f"{len(style.sources)} sources, {len(style.recipes)} recipes"
    yield Finding(f"style {name}", True, counts)
    chosen = [each for recipe, each in style.recipes.items() if not recipes or recipe in recipes]
    yield from check_packages(name, chosen)
    if broken := list(_failed(check_torchvision())):
        yield from broken
        return
    models = list(_check_models(catalogue, name, style, reads_values=True))
    yield from models
    if models[0].is_fine:
        yield from _check_fit(catalogue, name, style, recipes, compute)
        yield from _failed(
            checked(f"{model}: steps", partial(check_steps, catalogue, model, compute))
            for model in (Partition(name, recipe) for recipe in recipes or style.recipes)
        )
    endpoint = style.captions.endpoint
    if endpoint is not None:
        yield checked(f"{name}: captioner", lambda: ask_endpoint(endpoint))
    yield from _check_sources(catalogue, name, style, asks=True)
    yield from _check_curation(catalogue, name, style, ())
    yield from check_publication(name, style, recipes, asks=True)
    if models[0].is_fine:
        yield from _check_blends(catalogue, name, style, reads_values=True)
    yield from _check_other_styles(catalogue, name, style)


def _check_blends(
    catalogue: Catalogue, name: str, style: Style, *, reads_values: bool
) -> Iterator[Finding]:
    """Yield whether blends can be made that read more than the base and one of its models."""
    read = [*style.blends.mixed, *(key for _, key in style.blends.outside)]
    if not read:
        return
    subject = f"{name}: blends of several models"
    try:
        wrong = [
            *mixed_mismatches(catalogue, name, style),
            *outside_mismatches(catalogue, name, style, reads_values=reads_values),
        ]
        found = [Finding(subject, False, _located(catalogue, name, each)) for each in wrong]
    except StyledagError as exc:
        found = [Finding(subject, False, str(exc))]
    yield from found or [Finding(subject, True, ", ".join(read))]


def _check_other_styles(catalogue: Catalogue, name: str, style: Style) -> Iterator[Finding]:
    """Yield the other styles that scores name and that are not there."""
    for each in missing_styles(catalogue, name, style):
        yield Finding(f"{name}: other styles", False, _located(catalogue, name, each))


def _failed(findings: Iterator[Finding]) -> Iterator[Finding]:
    return (each for each in findings if not each.is_fine)


def _check_models(
    catalogue: Catalogue, name: str, style: Style, *, reads_values: bool
) -> Iterator[Finding]:
    """Yield the base first, then the captioner, scorer, classifier and IP-Adapter."""
    root = catalogue.project.root

    def base() -> str:
        found = catalogue.base(style.base)
        parts = found.parts.sampling
        check_model(style.base, project=root, parts=parts, values=reads_values)
        check_not_quantised(found)
        weights = _weights(catalogue, style.base, reads_values=reads_values)
        remark = distilled_remark(style.base)
        return f"{style.base.model} is a {found.family}; {weights}{remark}"

    yield checked(f"{name}: base", base)
    others = {
        "captioner": style.captions.captioner,
        "scorer": style.scores.scorer,
        "classifier": style.scores.classifier,
    }
    yield from _check_others(catalogue, name, others, reads_values=reads_values)
    yield from check_captioner_packages(catalogue, name, style.captions.captioner)
    yield from _check_label(catalogue, name, style)
    yield from _check_ip_adapter(catalogue, name, style, reads_values=reads_values)


def _check_others(
    catalogue: Catalogue,
    name: str,
    others: Mapping[str, ModelReference | None],
    *,
    reads_values: bool,
) -> Iterator[Finding]:
    """Yield whether the models beside the base are there, by their roles."""
    root = catalogue.project.root

    def other(reference: ModelReference) -> str:
        check_model(reference, project=root, values=reads_values)
        read_config(catalogue.configurations(reference) / CONFIG_FILE)
        return f"{reference.model}; {_weights(catalogue, reference, reads_values=reads_values)}"

    for role, reference in others.items():
        if reference is not None:
            yield checked(f"{name}: {role}", lambda reference=reference: other(reference))  # type: ignore[misc]


def _weights(catalogue: Catalogue, reference: ModelReference, *, reads_values: bool) -> str:
    if catalogue.path(reference.model).exists():
        return f"its weights are {'whole and finite' if reads_values else 'whole'}"
    return f"its weights at {reference.revision} are downloaded from the Hub when needed"


def _check_label(catalogue: Catalogue, name: str, style: Style) -> Iterator[Finding]:
    """Yield the classifier's label where its configuration names its labels and not this one."""
    classifier = style.scores.classifier
    if classifier is None:
        return
    try:
        folder = catalogue.configurations(classifier)
        labels = read_config(folder / CONFIG_FILE).get("id2label", {}).values()
    except StyledagError:
        return  # the finding of the classifier itself reports it
    fault = None
    if len(labels) == 1:
        fault = Mismatch(("scores", "classifier"), f"is of no use: {one_label(classifier.model)}")
    elif labels and classifier.label not in labels:
        fault = Mismatch(
            ("scores", "classifier", "label"),
            f"is {classifier.label!r}, but {classifier.model} has {', '.join(labels)}: name one",
        )
    if fault is not None:
        yield Finding(f"{name}: classifier's label", False, _located(catalogue, name, fault))


def _check_ip_adapter(
    catalogue: Catalogue, name: str, style: Style, *, reads_values: bool
) -> Iterator[Finding]:
    """Yield whether the IP-Adapter is there and fits the base, if scores ask for one."""
    adapter = style.scores.ip_adapter
    if adapter is None:
        return
    root, subject = catalogue.project.root, f"{name}: IP-Adapter"
    try:
        base = ip_adapter_base(catalogue.base(style.base))
        check_model(adapter, project=root, parts=adapter.parts, values=reads_values)
        base.check_ip_adapter(
            tensor_shapes(adapter, adapter.weights, project=root),
            catalogue.configurations(adapter) / adapter.image_encoder,
        )
    except StyledagError as exc:
        fault = Mismatch(("scores", "ip_adapter"), f"does not fit: {exc}")
        yield Finding(subject, False, _located(catalogue, name, fault))
        return
    weights = _weights(catalogue, adapter, reads_values=reads_values)
    yield Finding(subject, True, f"{adapter.model}/{adapter.weights}; {weights}")


def _check_curation(
    catalogue: Catalogue, name: str, style: Style, assets: Collection[str]
) -> Iterator[Finding]:
    """Yield whether text over images can be read, and what a person has written of them."""
    root = catalogue.project.root
    review, overrides = style.curation.review, style.captions.overrides
    if not assets or "curated_images" in assets:
        if style.curation.max_letters is not None:
            yield checked(f"{name}: overlaid text", reader_version)
        if review is not None:
            yield checked(f"{name}: {review}", lambda: _counted(read_review(root / review)))
    if overrides is not None and (not assets or "captions" in assets):
        yield checked(
            f"{name}: {overrides}",
            lambda: f"{len(read_overrides(root / overrides).captions)} captions",
        )


def _counted(review: Review) -> str:
    return f"{len(review.keep)} to keep, {len(review.drop)} to drop"


def _check_sources(
    catalogue: Catalogue, name: str, style: Style, *, asks: bool
) -> Iterator[Finding]:
    look = ask_source if asks else check_source
    for source in style.sources:
        yield checked(
            f"{name}: source {source.name}",
            lambda source=source: look(source, project=catalogue.project.root),  # type: ignore[misc]
        )


def _check_fit(
    catalogue: Catalogue, name: str, style: Style, recipes: Sequence[str], compute: ComputeSettings
) -> Iterator[Finding]:
    """Yield whether the settings fit the base, and training the device and the disk."""
    subject = f"{name}: fits its base"
    try:
        found = [
            Finding(subject, False, _located(catalogue, name, each))
            for each in mismatches(style, catalogue.base(style.base))
        ]
    except (StyledagError, OSError) as exc:
        found = [Finding(subject, False, str(exc))]
    if found:
        yield from found
        return
    yield Finding(subject, True, "prompts, blocks, sizes and sampler")
    yield from check_stored_parts(catalogue, name, style.base)
    captioner = style.captions.captioner
    if captioner is not None and "captioner" in style.captions.sources:
        yield checked(
            f"{name}: describes images",
            lambda: check_captioner(catalogue.configurations(captioner)),
        )
    yield checked(
        f"{name}: embeds images",
        lambda: check_scorer(catalogue.configurations(style.scores.scorer)),
    )
    classifier = style.scores.classifier
    if classifier is not None:
        yield checked(
            f"{name}: classifies images",
            lambda: check_classifier(catalogue.configurations(classifier)),
        )
    for recipe in recipes or tuple(style.recipes):
        yield from check_training(catalogue, Partition(name, recipe), compute)


def _located(catalogue: Catalogue, name: str, mismatch: Mismatch) -> str:
    """Return a mismatch with the file and the line of its key."""
    path = catalogue.project.style_paths[name]
    return f"{path}:{line_of(mismatch.location, style_lines(path))}: {mismatch}"
