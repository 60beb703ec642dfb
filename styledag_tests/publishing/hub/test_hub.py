import hashlib
from functools import partial

import pytest
from huggingface_hub import get_session

from styledag.errors import PublishError
from styledag.publishing.hub import hub as publishing
from styledag.publishing.hub import patience
from styledag_tests.publishing.hub.conftest import REPO, Publisher, folder_content
from styledag_tests.publishing.hub.loopback import Fault, Hub

# huggingface_hub's own way of uploading an LFS object.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_a_repository_is_made_and_filled(publish: Publisher, hub: Hub) -> None:
    facts = publish()

    repo = hub.repos[REPO]
    assert (repo.kind, repo.private) == ("model", True)
    assert publish.published() == folder_content(publish.folder)
    assert repo.head.title == f"Publish version {facts['version'][:12]}"
    assert "Source revision: 0123abc" in repo.head.description
    assert repo.tags == {facts["tag"]: repo.head.oid} == {facts["tag"]: facts["commit"]}
    assert "0123abc" in repo.tag_messages[facts["tag"]]
    assert (facts["uploaded"], facts["unchanged"], facts["deleted"]) == (5, 0, 0)
    assert facts["url"] == f"{hub.url}/{REPO}"


def test_a_public_repository_is_asked_for(publish: Publisher, hub: Hub) -> None:
    publish(private=False)

    assert hub.repos[REPO].private is False


@pytest.mark.parametrize(
    "request_", ["GET .*/refs", "POST /api/repos/create", "^PUT /upload", "POST .*/commit/"]
)
def test_a_hub_that_falls_silent_is_asked_again_in_the_end(
    publish: Publisher, hub: Hub, monkeypatch: pytest.MonkeyPatch, request_: str
) -> None:
    briefly = partial(patience.hub_errors, silence_s=0.5)
    monkeypatch.setattr(publishing, "hub_errors", briefly)
    usual = get_session().timeout
    hub.faults.append(Fault(request_, "silence"))
    publish()
    assert publish.published() == folder_content(publish.folder)
    hub.faults.append(Fault("GET .*/refs", "silence", times=100))
    with pytest.raises(PublishError, match=r"connection to the Hub failed \(ReadTimeout"):
        publish(tries=1)
    assert get_session().timeout == usual


def test_nothing_is_done_when_the_version_is_there(publish: Publisher, hub: Hub) -> None:
    first = publish()
    hub.log.clear()

    second = publish()

    assert [line.split("/")[-1] for line in hub.log] == ["refs"]
    assert second["was_there"] is True
    assert (second["commit"], second["uploaded"]) == (first["commit"], 0)


def test_a_version_from_before_is_published_again(publish: Publisher, hub: Hub) -> None:
    first, content = publish(), folder_content(publish.folder)
    (publish.folder / "unet" / "weights-0.safetensors").write_bytes(b"new")
    (publish.folder / "unet" / "weights-3.safetensors").write_bytes(b"more")
    second, later = publish(), folder_content(publish.folder)
    hub.log.clear()

    (publish.folder / "unet" / "weights-3.safetensors").unlink()
    (publish.folder / "unet" / "weights-0.safetensors").write_bytes(
        content["unet/weights-0.safetensors"]
    )
    again = publish()

    repo = hub.repos[REPO]
    assert again["tag"] == first["tag"]
    assert (again["was_there"], again["uploaded"], again["deleted"]) == (False, 1, 1)
    assert publish.published() == content
    assert hub.count("^PUT /upload") == 0  # the Hub has its content still
    assert repo.tags == {first["tag"]: repo.head.oid, second["tag"]: second["commit"]}
    assert publish()["was_there"] is True
    for name, each in later.items():
        (publish.folder / name).write_bytes(each)
    assert publish()["was_there"] is False
    assert publish.published() == later


def test_a_version_stays_published_when_somebody_else_commits(publish: Publisher, hub: Hub) -> None:
    first = publish()
    head = hub.repos[REPO].head
    hub.repos[REPO].commit("theirs", "", head.files | {"theirs.txt": b"x"}, set(head.lfs))
    again = publish()
    assert (again["was_there"], again["commit"]) == (True, first["commit"])
    assert hub.repos[REPO].head.title == "theirs"


def test_only_what_changed_is_sent(publish: Publisher, hub: Hub) -> None:
    publish()
    (publish.folder / "README.md").write_text("---\nlicense: mit\n---\n# Another\n")
    (publish.folder / "unet" / "weights-0.safetensors").write_bytes(b"new")
    (publish.folder / "unet" / "weights-1.safetensors").unlink()
    hub.log.clear()

    facts = publish()

    assert (facts["uploaded"], facts["unchanged"], facts["deleted"]) == (2, 2, 1)
    assert hub.count("^PUT /upload") == 1
    assert publish.published() == folder_content(publish.folder)
    assert len(hub.repos[REPO].tags) == 2
    assert ".gitattributes" in hub.repos[REPO].head.files


def test_a_build_record_and_its_log_are_not_published(publish: Publisher) -> None:
    (publish.folder / "build.json").write_text('{"machine": "mine"}')
    (publish.folder / "log").mkdir()
    (publish.folder / "log" / "loss.jsonl").write_text("{}")

    publish()

    assert not {"build.json", "log/loss.jsonl"} & publish.published().keys()


@pytest.mark.parametrize(
    ("request_", "headers", "wait_s"),
    [
        ("POST /api/repos/create", {"Retry-After": "7"}, 7),
        ("GET .*/refs", {"RateLimit": '"api";r=0;t=55'}, 55),
        ("POST .*/commit/", {"Retry-After": "9"}, 9),
        ("POST .*/tag/", {"Retry-After": "11"}, 11),
        # huggingface_hub's own repetition adds a second.
        ("POST .*/preupload/", {"Retry-After": "3"}, 4),
        ("POST .*/batch", {"Retry-After": "5"}, 6),
        ("^PUT /upload", {"Retry-After": "8"}, 9),
    ],
)
def test_429_waits_as_long_as_the_hub_asks(
    request_, headers, wait_s, publish: Publisher, hub: Hub, waits: list[float]
) -> None:
    hub.faults.append(Fault(request_, 429, headers=headers))

    publish()

    assert waits == [wait_s]
    assert publish.published() == folder_content(publish.folder)
    assert len(hub.repos[REPO].commits) == 2


def test_429_without_end_is_an_error_that_can_be_resumed(
    publish: Publisher, hub: Hub, waits: list[float]
) -> None:
    hub.faults.append(Fault("POST .*/commit/", 429, times=3, headers={"Retry-After": "2"}))

    with pytest.raises(PublishError, match=r"ada/style.*asks to wait: publish again later"):
        publish(tries=3)

    assert waits == [2, 2]
    uploads = hub.count("^PUT /upload")
    publish()
    assert hub.count("^PUT /upload") == uploads == 3


def test_a_wait_of_a_day_is_not_begun(publish: Publisher, hub: Hub, waits: list[float]) -> None:
    """As after too many new repositories."""
    day = {"Retry-After": "86400"}
    hub.faults.append(Fault("POST /api/repos/create", 429, headers=day))

    with pytest.raises(PublishError, match=r"asks to wait: publish again later"):
        publish()

    assert waits == []


def test_a_connection_that_drops_during_an_upload_is_tried_again(
    publish: Publisher, hub: Hub
) -> None:
    hub.faults.append(Fault("^PUT /upload", "drop"))

    publish()

    assert hub.count("^PUT /upload") == 4
    assert publish.published() == folder_content(publish.folder)


def test_an_upload_that_fails_for_good_is_resumed_by_the_next_call(
    publish: Publisher, hub: Hub
) -> None:
    # Of three objects one never arrives, however often it is tried.
    content = (publish.folder / "unet" / "weights-2.safetensors").read_bytes()
    oid = hashlib.sha256(content).hexdigest()
    fault = Fault(f"^PUT /upload/.*{oid}", "drop", times=10_000)
    hub.faults.append(fault)
    with pytest.raises(PublishError, match=r"connection to the Hub failed.*publish again"):
        publish(tries=2)
    assert len(hub.repos[REPO].commits) == 1  # the Hub's own; nothing is published in part
    arrived = set(hub.repos[REPO].objects)
    fault.times = 0
    hub.log.clear()

    publish()

    assert len(arrived) == 2
    assert hub.count("^PUT /upload") == 1
    assert publish.published() == folder_content(publish.folder)


def test_a_commit_whose_answer_is_lost_is_not_made_twice(publish: Publisher, hub: Hub) -> None:
    hub.faults.append(Fault("POST .*/commit/", "lose"))

    facts = publish()

    repo = hub.repos[REPO]
    assert [commit.title for commit in repo.commits[1:]] == [repo.head.title]
    assert repo.tags == {facts["tag"]: repo.head.oid}


def test_a_commit_that_raced_is_an_error_and_overwrites_nothing(
    publish: Publisher, hub: Hub
) -> None:
    publish()
    (publish.folder / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    hub.faults.append(Fault("POST .*/commit/", "race"))

    with pytest.raises(PublishError, match="another commit came in between"):
        publish()

    assert hub.repos[REPO].head.title == "somebody else's"
    assert hub.repos[REPO].head.files["theirs.txt"] == b"x"


def test_what_somebody_else_added_stays(publish: Publisher, hub: Hub) -> None:
    publish()
    head = hub.repos[REPO].head
    hub.repos[REPO].commit("theirs", "", head.files | {"theirs.txt": b"x"}, set(head.lfs))
    (publish.folder / "unet" / "weights-1.safetensors").unlink()

    assert publish()["deleted"] == 1

    assert publish.published() == folder_content(publish.folder) | {"theirs.txt": b"x"}


def test_a_connection_that_drops_in_the_middle_of_a_commit_is_tried_again(
    publish: Publisher, hub: Hub
) -> None:
    hub.faults.append(Fault("POST .*/commit/", "drop"))

    facts = publish()

    repo = hub.repos[REPO]
    assert len(repo.commits) == 2
    assert hub.count("^PUT /upload") == 3  # the large files had arrived
    assert repo.tags == {facts["tag"]: repo.head.oid}


def test_a_token_that_expires_in_between_leaves_what_was_sent(publish: Publisher, hub: Hub) -> None:
    hub.faults.append(Fault("POST .*/commit/", 401))
    with pytest.raises(PublishError, match="does not accept the access token"):
        publish()
    assert len(hub.repos[REPO].commits) == 1
    hub.log.clear()

    publish()

    assert hub.count("^PUT /upload") == 0
    assert publish.published() == folder_content(publish.folder)


@pytest.mark.parametrize("there", [False, True])
def test_an_expired_token_is_an_error(there, publish: Publisher, hub: Hub) -> None:
    if there:
        publish()
    hub.log.clear()

    with pytest.raises(PublishError, match=r"does not accept the access token.*hf auth login"):
        publish(token="hf_expired")

    assert len(hub.log) == 1


def test_a_server_error_that_stays_is_an_error(
    publish: Publisher, hub: Hub, waits: list[float]
) -> None:
    hub.faults.append(Fault("GET .*/refs", 503, times=100))

    with pytest.raises(PublishError, match="publish again"):
        publish(tries=4)

    assert hub.count("refs") == 4
    assert waits == sorted(waits)
    assert len(waits) == 3


def test_a_token_without_write_permission_is_an_error(publish: Publisher, hub: Hub) -> None:
    hub.faults.append(Fault("POST /api/repos/create", 403))

    with pytest.raises(PublishError, match="write permission"):
        publish()


def test_a_name_that_the_hub_does_not_permit_is_refused(
    publish: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styledag_tests.publishing.hub.conftest.REPO", "a/b/c")

    with pytest.raises(PublishError, match=r"^a/b/c: Repo id must be"):
        publish()
