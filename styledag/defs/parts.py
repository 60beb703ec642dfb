"""Parts that a stage publishes while it runs, such as checkpoints, in Dagster's records."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from styledag.dataset.markdown import escape_markdown
from styledag.defs.history import newest_materialisations
from styledag.defs.logged import materialisation
from styledag.defs.metadata import built_metadata, lineage_links, name_tags, recipe_metadata
from styledag.defs.placement import Placement
from styledag.graph.catalogue import Catalogue, partitions_of
from styledag.graph.names import Partition
from styledag.graph.plan import Plan, listed_parts
from styledag.graph.stage import Stage
from styledag.graph.tracing.difference import since_previous
from styledag.store.artifact import Artifact
from styledag.store.store import Built, Store
from styledag.style.model import Style


@dataclass(frozen=True)
class PartsLog:
    """Logs the parts of one running materialisation.

    Attributes:
        context: The running asset.
        catalogue: Stages, styles, models and artifacts.
        placement: Keys of the assets.
        on_built: Is called with each part as soon as it is there.
        pages_url: Where artifacts' pages are served, for links; empty if they are not.
    """

    context: dg.AssetExecutionContext
    catalogue: Catalogue
    placement: Placement
    on_built: Callable[[Built], None]
    pages_url: str

    def mark_earlier(self, plan: Plan, style: Style) -> None:
        """Mark the parts of an earlier build, which stay until this one has published its own.

        A training that is cut leaves both: some checkpoints are its own, the rest the last one's.

        Args:
            plan: Of a build that is about to begin.
            style: As it was when the build was planned.
        """
        publishes = plan.stage.publishes
        if publishes is None or plan.plan_part is None:
            return
        if self.catalogue.store.find(plan.target) is not None:
            return
        grain = self.catalogue.stages[publishes.asset].grain
        for partition in partitions_of(style, plan.inputs.partition, grain):
            planned = plan.plan_part(partition.part)
            current = self.catalogue.store.current(planned.stage.name, partition.stored_as)
            if current is not None and current.build.key != planned.target.key:
                self.context.log_event(
                    dg.AssetObservation(
                        self.placement.asset(planned.stage.name),
                        partition=partition.key,
                        description=f"of an earlier {plan.stage.name}, not of the one that began "
                        "now; replaced when that has come as far",
                        metadata={"earlier": True, "version": current.version},
                    )
                )

    def log_part(self, plan: Plan, built: Built) -> None:
        """Log a part as a materialisation of its own partition."""
        self.on_built(built)
        self._log(plan.stage, plan.inputs.partition, built)

    def announce(self, stage: Stage, owner: Partition, artifact: Artifact) -> None:
        """Make the parts that an artifact lists the current ones, where they are not.

        A recipe that is changed back finds its model again without training; so it must find its
        checkpoints, and a history that was removed must hear of them anew.
        """
        if stage.publishes is None:
            return
        published = self.catalogue.stages[stage.publishes.asset]
        for name, part in listed_parts(self.catalogue, stage.name, artifact).items():
            self.catalogue.store.make_current(part)
            partition = owner.of(name.rpartition("/")[2])
            if self._announced(published.name, partition) != part.version:
                self._log(published, partition, Built(part, cached=True, work={}))

    def metadata(self, stage: Stage, built: Built) -> dict[str, Any]:
        """Return what the web UI shows of an artifact; the recipe, which is long, last."""
        store, artifact = self.catalogue.store, built.artifact
        links = lineage_links(self.pages_url, store, artifact, self.placement)
        changes = {} if stage.publishes is None or built.cached else _changes(store, artifact)
        return {
            **built_metadata(stage, built, links),
            **changes,
            **recipe_metadata(store, artifact),
        }

    def _log(self, stage: Stage, partition: Partition, built: Built) -> None:
        build = built.artifact.build
        self.context.log_event(
            materialisation(
                self.placement.asset(stage.name),
                partition,
                version=build.version,
                code_version=build.code_version,
                metadata=self.metadata(stage, built),
                tags=name_tags([partition]),
            )
        )

    def _announced(self, asset: str, partition: Partition) -> str | None:
        """Return the version that was logged last for a partition."""
        key = self.placement.asset(asset)
        records = newest_materialisations(self.context.instance, key, partition.key)
        tags = records[0].event_log_entry.tags if records else None
        return (tags or {}).get(DATA_VERSION_TAG)


def _changes(store: Store, model: Artifact) -> dict[str, dg.MetadataValue]:
    """Return why a model is another one than that before it; nothing of a first one.

    Nor in a remote store, from which all images of both datasets would be copied.
    """
    previous, sentences = since_previous(store, model) if store.files.is_local else ("", ())
    if not previous:
        return {}
    return {
        "changed_since": dg.MetadataValue.text(previous),
        "changes": dg.MetadataValue.md(
            "\n".join(f"- {escape_markdown(each)}" for each in sentences)
        ),
    }
