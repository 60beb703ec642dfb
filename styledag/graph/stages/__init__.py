"""The stages of the graph, one file an asset. A file that is added here is in the graph."""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence

from styledag.graph.stage import Stage


def read_stages() -> list[Stage]:
    """Return every stage that a file of this folder declares, each after what it reads.

    Stages of one grain stand together as far as that allows, so that a run goes through few
    partitions; a stage whose partitions another one publishes follows that one.

    Raises:
        ValueError: If a stage reads an asset that no stage makes, or stages read one another.
    """
    modules = sorted(each.name for each in pkgutil.iter_modules(__path__))
    declared = [importlib.import_module(f"{__name__}.{name}").STAGE for name in modules]
    return in_order({stage.name: stage for stage in declared})


def in_order(stages: Mapping[str, Stage]) -> list[Stage]:
    """Return stages so that each follows what it reads.

    Raises:
        ValueError: If a stage reads an asset that no stage makes, or stages read one another.
    """
    published_by = {each.publishes.asset: name for name, each in stages.items() if each.publishes}
    waits_for = {name: {each.asset for each in stage.reads} for name, stage in stages.items()}
    for asset, publisher in published_by.items():
        waits_for[asset].add(publisher)
    for name, upstream in waits_for.items():
        if missing := sorted(upstream - stages.keys()):
            raise ValueError(f"stage {name!r} reads {missing}, which no stage makes")
    ordered: list[Stage] = []
    while len(ordered) < len(stages):
        done = {stage.name for stage in ordered}
        ready = _ready(stages, waits_for, done)
        if not ready:
            raise ValueError(f"stages read one another: {sorted(stages.keys() - done)}")
        ordered.append(_next(ready, ordered, published_by))
    return ordered


def _ready(
    stages: Mapping[str, Stage], waits_for: Mapping[str, set[str]], done: set[str]
) -> list[Stage]:
    """Return the stages that may come next, those that ask nothing of the outside first."""
    waiting = {name: upstream for name, upstream in waits_for.items() if name not in done}
    ready = [stages[name] for name, upstream in waiting.items() if upstream <= done]
    return sorted(ready, key=lambda stage: (stage.depends_on_outside, stage.name))


def _next(
    ready: Sequence[Stage], ordered: Sequence[Stage], published_by: Mapping[str, str]
) -> Stage:
    for stage in ready:
        if stage.name in published_by:
            return stage
    run = [stage for stage in ordered if stage.name not in published_by]
    same = [stage for stage in ready if run and stage.grain == run[-1].grain]
    return (same or ready)[0]
