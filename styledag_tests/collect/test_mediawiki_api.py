"""A wiki's API is asked to its end, whatever is around its answers."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from styledag.errors import SourceError, may_pass
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import Reply, page, serving
from styledag_tests.collect.test_mediawiki import FETCH, collect, fruit
from styledag_tests.collect.wikis import WikiSite


class OddWiki(WikiSite):
    """Answers as a function of the questions so far."""

    def __init__(self, answers: Any) -> None:
        super().__init__(fruit(), "1.43")
        self.answers = answers

    def answer(self, path: str) -> Reply:
        reply = super().answer(path)
        if not path.startswith("/api.php"):
            return reply
        found = self.answers(self.questions, reply)
        if isinstance(found, Reply):
            return found
        return Reply(json.dumps(found).encode(), content_type="application/json")


def serving_odd(answers: Any) -> Any:
    return serving({"/robots.txt": Reply(b"")}, OddWiki(answers))


def test_a_repeated_continuation_publishes_nothing(workspace: Workspace) -> None:
    def endless(questions: list[Mapping[str, str]], reply: Reply) -> Any:
        if "gcmtype" not in questions[-1]:
            return reply
        return {"continue": {"gcmcontinue": "same"}, "query": {"pages": []}}

    with serving_odd(endless) as site, pytest.raises(SourceError, match="repeats the continuation"):
        collect(site, workspace)
    assert len(site.questions) == 4


def test_a_lagging_wiki_is_asked_again(workspace: Workspace) -> None:
    def lagging(questions: list[Mapping[str, str]], reply: Reply) -> Any:
        if len(questions) > 1:
            return reply
        error = {"code": "maxlag", "info": "Waiting for 10.0.0.1: 6 seconds lagged", "lag": 6}
        body = json.dumps({"error": error}).encode()
        return Reply(body, content_type="application/json", headers={"Retry-After": "0"})

    with serving_odd(lagging) as site, pytest.raises(SourceError, match=r"in part|no image could"):
        # The odd wiki serves no files; its lists are read nevertheless.
        collect(site, workspace)
    assert len(site.questions) > 4


@pytest.mark.parametrize("code", ["maxlag", "internal_api_error_DBQueryError", "readonly"])
def test_what_may_pass_is_asked_again_and_then_said_to(workspace: Workspace, code: str) -> None:
    def failing(questions: list[Mapping[str, str]], reply: Reply) -> Any:
        return {"error": {"code": code, "info": "later"}}

    with serving_odd(failing) as site, pytest.raises(SourceError, match=f"{code}: later") as caught:
        collect(site, workspace)
    assert len(site.questions) == FETCH.retries + 1
    assert may_pass(caught.value)


@pytest.mark.parametrize(
    "dirt",
    [
        b"%s\xef\xbb\xbf",
        b"\xef\xbb\xbf\n%s",
        b"<br />\n<b>Warning</b>: {x} in <b>/w/LocalSettings.php</b> on line <b>3</b><br />\n%s",
    ],
)
def test_what_php_writes_around_an_answer_is_passed_over(workspace: Workspace, dirt: bytes) -> None:
    def dirty(questions: list[Mapping[str, str]], reply: Reply) -> Any:
        return Reply(dirt.replace(b"%s", reply.body), content_type="text/html")

    with serving_odd(dirty) as site, pytest.raises(SourceError, match=r"no image could be taken"):
        # The odd wiki serves no files; its lists are read nevertheless.
        collect(site, workspace)


def test_an_answer_without_anything_may_be_an_empty_list(workspace: Workspace) -> None:
    def old(questions: list[Mapping[str, str]], reply: Reply) -> Any:
        return [] if questions[-1].get("gcmtype") == "page" else reply

    with serving_odd(old) as site, pytest.raises(SourceError, match=r"no image could be taken"):
        collect(site, workspace)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"error": {"code": "readapidenied", "info": "no"}}, "readapidenied: no .give the cookies"),
        ({"error": {"code": "badvalue", "info": "Unrecognized value"}}, "badvalue: Unrecognized"),
        (page("<p>hello"), "not JSON: give the address of the wiki's api.php"),
        ([1], "does not answer as MediaWiki"),
        ({"query": []}, "does not answer as MediaWiki"),
        (Reply(b"", 404), "cannot be read: .*http_404"),
        (Reply(b"Please set a user-agent", 403), "http_403.* set fetch.contact to your address"),
        (Reply(b"[" * 100_000, content_type="application/json"), "not JSON"),
        ({"batchcomplete": True}, "no image found in http://.*the wiki lists none"),
    ],
)
def test_what_is_wrong_with_an_api_is_said(workspace: Workspace, reply: Any, expected: str) -> None:
    def answers(questions: list[Mapping[str, str]], usual: Reply) -> Any:
        return reply

    with (
        serving_odd(answers) as site,
        pytest.raises(SourceError, match=re.compile(expected)),
    ):
        collect(site, workspace)
