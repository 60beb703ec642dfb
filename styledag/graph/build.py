"""Carries out a plan: finds the artifact in the store, or runs the stage."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from styledag.between_steps import between_steps
from styledag.graph.plan import Plan
from styledag.graph.stage import GetCompute
from styledag.progress import Progress
from styledag.store.artifact import Artifact
from styledag.store.store import Built, Store

OnPart = Callable[[Plan, Built], None]
"""Is called with each part as soon as it is published."""


def build_planned(
    plan: Plan, store: Store, compute: GetCompute, *, progress: Progress, on_part: OnPart
) -> Built:
    """Return what a plan gives, running its stage only if the store has no such build.

    ``on_part`` is called with each part that the stage publishes while it runs, always by this
    thread. A run that resumes may publish a part again: then it is found in the store.

    Raises:
        StyledagError: Of whatever kind the stage raises.
    """

    def publish(part: str, content: Any) -> Artifact:
        if plan.plan_part is None:
            raise RuntimeError(f"{plan.stage.name} publishes no parts")
        planned = plan.plan_part(part)
        inputs = replace(planned.inputs, compute=compute, content=content)
        built = store.build(planned.target, partial(planned.stage.run, inputs))
        between_steps(partial(on_part, planned, built))
        return built.artifact

    def find(part: str) -> Artifact | None:
        return store.find(plan.plan_part(part).target) if plan.plan_part is not None else None

    inputs = replace(plan.inputs, compute=compute, publish=publish, find=find)
    return store.build(plan.target, partial(plan.stage.run, inputs), progress=progress)
