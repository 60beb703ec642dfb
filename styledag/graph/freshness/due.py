"""What would be built next: what is out of date while all that it reads is current."""

from collections.abc import Collection, Iterator, Mapping

from styledag.graph.catalogue import Catalogue
from styledag.graph.checks import Checked, failed_errors
from styledag.graph.names import Partition
from styledag.graph.plan import read_partitions
from styledag.graph.stage import Declaration
from styledag.graph.status import statuses_read, style_status
from styledag.settings import json_digest


def due_builds(catalogue: Catalogue, style: str) -> Mapping[tuple[str, str], str]:
    """Return a digest of what decides each build that is due, by asset and partition key.

    The digest changes with the settings and with the versions that are read. So a build that failed
    is asked for again when another outcome is possible, and not before.

    Raises:
        StyleFileError: If the style file is missing or broken.
    """
    declared = catalogue.style(style)
    statuses = {(each.asset, each.partition): each for each in style_status(catalogue, style)}
    due: dict[tuple[str, str], str] = {}
    for (asset, key), status in statuses.items():
        if status.state not in ("outdated", "missing"):
            continue
        declaration = Declaration(declared, Partition.parse(key))
        read = statuses_read(catalogue, catalogue.stages[asset], declaration, statuses)
        if all(each.state == "current" for each in read):
            decides = [status.declared, *(each.version for each in read)]
            due[asset, key] = json_digest(decides)
    return due


def stopped_builds(
    catalogue: Catalogue, builds: Collection[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield each build that a check of what it reads stops, with what the check found.

    In one run Dagster stops what follows; from one run to the next nothing else does.

    Raises:
        StyleFileError: If a style file is missing or broken.
    """
    found: dict[str, list[str]] = {}
    for asset, key in builds:
        declaration = catalogue.declaration(Partition.parse(key))
        for reads, partitions in read_partitions(catalogue, catalogue.stages[asset], declaration):
            checks = catalogue.stages[reads.asset].checks
            for partition in partitions if checks else ():
                artifact = catalogue.store.current(reads.asset, partition.stored_as)
                if artifact is None:
                    continue
                if artifact.name not in found:
                    checked = Checked(artifact, catalogue.style(partition.style), catalogue.store)
                    found[artifact.name] = failed_errors(checks, checked)
                for sentence in found[artifact.name]:
                    yield (asset, key), f"{reads.asset} of {partition}: {sentence}"
