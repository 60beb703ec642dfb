"""Every error that styledag raises on purpose, sorted by who can act on it."""


class StyledagError(Exception):
    """Base of all errors that name what is wrong, what was found and what to do."""


class StyleFileError(StyledagError):
    """A style file says something that cannot be meant; its author can mend it."""


class SourceError(StyledagError):
    """A source of images did not give what it was asked for; its operator may know why."""


class SourceDownError(SourceError):
    """A source gave only a part because a server failed; it may give the rest later."""


class WikiRefusedError(SourceError):
    """A wiki understands a question, and does not answer it; its operator knows why."""


class FetchError(SourceError):
    """One address did not give what it was asked for; the source counts it and goes on.

    Args:
        reason: Short snake-case word under which the rejection is counted.
        detail: What was found, for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{detail} ({reason})")
        self.reason = reason
        self.detail = detail


def is_transient(reason: str) -> bool:
    """Return whether the same address may answer differently later."""
    return reason in _TRANSIENT or reason.startswith("http_5")


def may_pass(error: BaseException) -> bool:
    """Return whether what failed may succeed later, going by an error and its causes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SourceDownError):
            return True
        if isinstance(cause, FetchError) and is_transient(cause.reason):
            return True
        cause = cause.__cause__
    return False


_TRANSIENT = {
    "timeout",
    "connection_failed",
    "connection_broken",
    "host_not_resolved",
    "certificate_not_yet_valid",
    "host_given_up",
    "over_max_minutes",
    "challenged",
    "http_202",
    "http_408",
    "http_425",
    "http_429",
}


class ImageError(StyledagError):
    """One image cannot be used; the stage counts it under :attr:`reason` and goes on.

    Args:
        reason: Short snake-case word under which the rejection is counted.
        detail: What was found, for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class DataError(StyledagError):
    """The images or captions at hand do not suffice for the stage; the style's author can act."""


class ModelError(StyledagError):
    """A base, captioner or scorer is missing, or is not what it should be."""


class ModelNotFetchedError(ModelError):
    """A model on the Hub is not in the cache, and nothing was to be asked for."""


class TrainingError(StyledagError):
    """Training cannot start or go on; the recipe's author can act."""


class DeviceError(StyledagError):
    """The machine lacks the device, memory or dtype that was asked for."""


class StorageError(StyledagError):
    """The artifact store cannot be read or written; the machine's owner can act."""


class ArtifactMissingError(StorageError):
    """An artifact that was asked for has not been materialised yet."""


class ArtifactBusyError(StorageError):
    """Another process is building the same artifact right now."""


class HistoryError(StyledagError):
    """Dagster's records cannot be read or written; the machine's owner can act."""


class LineageError(StyledagError):
    """A question about lineage names nothing that is known."""


class PublishError(StyledagError):
    """Something may not or could not be published; the style's author or the Hub can act."""
