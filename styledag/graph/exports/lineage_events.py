"""A lineage as OpenLineage events, one for each build, by the extra ``openlineage``.

https://openlineage.io/docs/spec/object-model. Marquez and other servers take each line as it is.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from styledag import __version__
from styledag.errors import PublishError
from styledag.graph.lineage import sources_first, trace
from styledag.graph.names import Partition
from styledag.graph.stage import Stage
from styledag.settings import canonical_json
from styledag.store.artifact import Artifact, Input
from styledag.store.store import Store

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent

PRODUCER = f"urn:styledag:{__version__}"
NAMESPACE = "styledag"
MODELS = "styledag.models"
"""Namespace of models from outside the graph, whose names are Hub ids or folders."""
_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, "styledag/builds")


def lineage_events(store: Store, artifact: Artifact, stages: Mapping[str, Stage]) -> str:
    """Return the builds that led to an artifact as events in JSON, one a line, sources first.

    A build is a completed run of its asset's job at the time it was published. Its id follows from
    the build, so that a server that is sent it twice has it once. Datasets are the artifacts, by
    asset and partition, with their version; the settings of a build are its run's parameters.

    Args:
        store: Has the artifacts.
        artifact: Whose lineage it is.
        stages: All stages by asset, which describe the jobs.

    Raises:
        PublishError: If openlineage-python is not installed.
        LineageError: If a build that it came from is no longer in the store.
    """
    try:
        from openlineage.client.serde import Serde
    except ImportError as exc:
        raise PublishError(
            "OpenLineage events need openlineage-python, which is not installed: "
            "pip install 'styledag[openlineage]'"
        ) from exc
    ancestors = sources_first(trace(store, artifact))
    made = [each.artifact for each in ancestors if each.artifact is not None]
    events = (_event(each, store.published_at(each), stages[each.asset]) for each in made)
    return "".join(f"{Serde.to_json(event)}\n" for event in events)


def _event(artifact: Artifact, published_at: datetime, stage: Stage) -> "RunEvent":
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import (
        documentation_job,
        execution_parameters_run,
        job_type_job,
        processing_engine_run,
        tags_run,
    )

    build = artifact.build
    tags = {**_names(build.partition), "code_version": build.code_version, "build": build.key}
    parameters = [
        execution_parameters_run.ExecutionParameter(name, name, value=value)
        for name, value in _parameters(build.settings)
    ]
    return RunEvent(
        eventType=RunState.COMPLETE,
        eventTime=published_at.isoformat(),
        producer=PRODUCER,
        run=Run(
            str(uuid.uuid5(_RUNS, f"{build.key}/{build.version}")),
            {
                "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
                    __version__, "styledag"
                ),
                "executionParameters": execution_parameters_run.ExecutionParametersRunFacet(
                    parameters
                ),
                "tags": tags_run.TagsRunFacet(
                    [tags_run.TagsRunFacetFields(name, each) for name, each in tags.items()]
                ),
            },
        ),
        job=Job(
            NAMESPACE,
            build.asset,
            {
                "documentation": documentation_job.DocumentationJobFacet(stage.description),
                "jobType": job_type_job.JobTypeJobFacet("BATCH", "STYLEDAG", stage.group),
            },
        ),
        inputs=[_input(each) for each in build.inputs],
        outputs=[_output(artifact)],
    )


def _names(partition: str) -> dict[str, str]:
    named = Partition.from_store(partition)
    names = {"style": named.style, "recipe": named.recipe, "part": named.part}
    return {kind: name for kind, name in names.items() if name}


def _parameters(settings: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Yield each setting under the names that lead to it."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _parameters(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value if isinstance(value, str) else canonical_json(value)


def _input(upstream: Input) -> "InputDataset":
    from openlineage.client.event_v2 import InputDataset

    if upstream.build:
        name = f"{upstream.name}/{Partition.from_store(upstream.partition)}"
        return InputDataset(NAMESPACE, name, facets=_version(upstream.version))
    return InputDataset(MODELS, upstream.partition, facets=_version(upstream.version))


def _output(artifact: Artifact) -> "OutputDataset":
    from openlineage.client.event_v2 import OutputDataset

    name = f"{artifact.asset}/{Partition.from_store(artifact.partition)}"
    return OutputDataset(NAMESPACE, name, facets=_version(artifact.version))


def _version(version: str) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_version_dataset

    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(version)}
