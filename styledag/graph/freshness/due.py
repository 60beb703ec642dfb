"""What would be built next: what is out of date while all that it reads is current."""

from collections.abc import Mapping

from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
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
