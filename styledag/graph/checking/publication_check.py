"""Whether what a style publishes can be published, before anything is trained for it."""

from collections.abc import Iterator, Sequence

from styledag.errors import PublishError
from styledag.graph.blends import Blend, blends_of
from styledag.graph.checking.finding import Finding, checked
from styledag.graph.names import Partition
from styledag.publishing.hub.account import hub_account
from styledag.publishing.hub.settings import PublishSettings
from styledag.style.model import Style


def check_publication(
    name: str, style: Style, recipes: Sequence[str], *, asks: bool
) -> Iterator[Finding]:
    """Yield whether a style's section ``publish`` fits its recipes and blends, and the Hub's token.

    The Hub is asked whose the token is, and what it may write, only where ``asks`` says so.
    """
    publish = style.publish
    if publish is None:
        return
    if publish.models is not None:
        for recipe in recipes or tuple(style.recipes):
            yield checked(
                f"{name}.{recipe}: publish",
                lambda recipe=recipe: _fits(publish, style, Partition(name, recipe)),  # type: ignore[misc]
            )
    if publish.to == "hub":
        targets = [each for each in (publish.dataset, publish.models) if each is not None]
        yield checked(f"{name}: access token of the Hub", lambda: hub_account(targets, asks=asks))


def _fits(publish: PublishSettings, style: Style, model: Partition) -> str:
    recipe, blends = model.recipe, blends_of(style, model)
    if publish.blend is not None and Blend.parse(publish.blend) not in blends:
        raise PublishError(
            f"publish.blend is {publish.blend}, but recipe {recipe} has "
            f"{', '.join(each.key for each in blends)}: name one of them, or add it to blends"
        )
    if publish.format == "lora" and (publish.blend or style.recipes[recipe].lora is None):
        raise PublishError(
            f"publish.format is lora, but recipe {recipe} trains no adapters, or publish.blend "
            "names a blend, which contains none: publish another format"
        )
    return f"{publish.format} to {publish.model_target(recipe)}"
