"""What a token may not write is known before anything is trained for it."""

import pytest
from huggingface_hub import HfApi

from styledag.errors import PublishError
from styledag.publishing.hub import account as account_of_token
from styledag.publishing.hub.account import hub_account
from styledag_tests.publishing.hub.loopback import TOKEN, Fault, Hub

TARGETS = ("ada/images", "guild/style-{recipe}")


def account(role: str, **orgs: str) -> dict:
    """As the Hub describes the account of a token."""
    return {
        "name": "ada",
        "auth": {"accessToken": {"role": role}},
        "orgs": [{"name": name, "roleInOrg": each} for name, each in orgs.items()],
    }


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_x")

    def ask(answer: dict) -> str:
        monkeypatch.setattr(HfApi, "whoami", lambda _: answer)
        return hub_account(TARGETS, asks=True)

    return ask


@pytest.mark.parametrize(
    "answer",
    [
        {"name": "ada"},
        account("write", guild="admin"),
        account("write", guild="contributor", other="read"),
        account("fineGrained"),
    ],
)
def test_a_token_that_may_write_passes(asked, answer: dict) -> None:
    assert asked(answer) == "it is ada's"


def test_a_hub_that_falls_silent_is_not_waited_for(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", hub.url)
    monkeypatch.setattr(account_of_token, "_ANSWER_S", 0.2)
    hub.faults.append(Fault("GET .*/whoami", "silence"))
    with pytest.raises(PublishError, match=r"Hub's account: the connection .*ReadTimeout"):
        hub_account(TARGETS, asks=True)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (account("read", guild="admin"), "token of ada may read only"),
        (account("write"), "guild/style-{recipe} is guild's, where ada may not write"),
        (account("write", guild="read"), "guild/style-{recipe} is guild's"),
    ],
)
def test_a_token_that_may_not_is_refused(asked, answer: dict, why: str) -> None:
    with pytest.raises(PublishError, match=why):
        asked(answer)
