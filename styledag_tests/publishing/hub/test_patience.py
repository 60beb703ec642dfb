import httpx2
import pytest
from huggingface_hub.errors import DisabledRepoError, HfHubHTTPError, OfflineModeIsEnabled

from styledag.errors import PublishError
from styledag.publishing.hub.patience import hub_errors, patiently

XET_REFUSES = "Network error: Request error: HTTP status client error (403 Forbidden), domain: x"


def hub_error(status: int, **headers: str) -> HfHubHTTPError:
    request = httpx2.Request("GET", "https://hub.example/api")
    response = httpx2.Response(status, headers=headers, request=request)
    return HfHubHTTPError("failed", response=response)


def said(status: int, message: str) -> HfHubHTTPError:
    error = hub_error(status)
    error.server_message = message
    return error


def disabled() -> DisabledRepoError:
    return DisabledRepoError("disabled", response=hub_error(403).response)


def wrapped(cause: Exception) -> RuntimeError:
    """As huggingface_hub raises what an LFS upload raised."""
    error = RuntimeError("Error while uploading 'a' to the Hub.")
    error.__cause__ = cause
    return error


def failing(*errors: Exception):
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


@pytest.mark.parametrize(
    ("error", "wait_s"),
    [
        (hub_error(429, **{"Retry-After": "12"}), 12),
        (hub_error(429, RateLimit='"api";r=0;t=40'), 40),
        # The limit is not what refused the request: it has requests left.
        (hub_error(429, RateLimit='"api";r=5;t=40', **{"Retry-After": "3"}), 3),
        (hub_error(503, **{"Retry-After": "8"}), 8),
        (hub_error(503, **{"Retry-After": "1.5"}), 1.5),
        (wrapped(hub_error(429, **{"Retry-After": "6"})), 6),
    ],
)
def test_the_wait_is_what_the_hub_asks_for(error, wait_s, waits: list[float]) -> None:
    assert patiently(failing(error), tries=2) == "done"
    assert waits == [wait_s]


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ReadError("reset"),
        wrapped(httpx2.RemoteProtocolError("incomplete")),
        ConnectionResetError("Xet"),
        TimeoutError("Xet"),
        hub_error(500),
        RuntimeError("Data processing error: CAS service error : Reqwest Error: timed out"),
        RuntimeError("Network error: connection closed before message completed"),
    ],
)
def test_what_may_pass_is_tried_again_after_a_growing_wait(error, waits: list[float]) -> None:
    assert patiently(failing(error, error, error), tries=4) == "done"
    assert len(waits) == 3
    assert waits == sorted(waits)

    with pytest.raises(type(error)):
        patiently(failing(error, error), tries=2)


@pytest.mark.parametrize(
    "error",
    [
        hub_error(401),
        hub_error(412),
        RuntimeError("bug"),
        PermissionError("Xet"),
        OfflineModeIsEnabled("offline"),
        ConnectionError(XET_REFUSES),
    ],
)
def test_what_does_not_pass_is_raised_at_once(error, waits: list[float]) -> None:
    with pytest.raises(type(error)):
        patiently(failing(error), tries=5)
    assert waits == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (hub_error(401), "does not accept the access token"),
        (hub_error(404), "no such repository"),
        (wrapped(hub_error(403)), "write permission"),
        (hub_error(502), "HTTP 502: publish again"),
        (httpx2.ConnectError("refused"), "connection to the Hub failed"),
        (ConnectionResetError("Xet"), "connection to the Hub failed"),
        (PermissionError("Xet says no"), "Xet says no"),
        (ValueError("Invalid metadata in README.md"), "Invalid metadata"),
        (hub_error(400), "HTTP 400: correct what it names"),
        (hub_error(402), "plan"),
        (ConnectionError(XET_REFUSES), "HTTP 403: the access token may not write"),
        (OfflineModeIsEnabled("offline"), "unset HF_HUB_OFFLINE"),
        (said(403, "Private repository storage limit reached"), "limit reached: free storage"),
        (disabled(), "has disabled this repository"),
    ],
)
def test_errors_name_the_repository_and_what_to_do(error, message: str) -> None:
    with pytest.raises(PublishError, match=f"^ada/style: .*{message}"), hub_errors("ada/style"):
        raise error
