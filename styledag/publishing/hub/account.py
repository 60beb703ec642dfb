"""The account that the Hub's access token belongs to."""

from collections.abc import Mapping, Sequence
from typing import Any

from styledag.errors import PublishError
from styledag.publishing.hub.patience import hub_errors

_TOKENS = "https://huggingface.co/settings/tokens"
_MAY_READ = "read"
_ANSWER_S = 10.0


def hub_account(targets: Sequence[str], *, asks: bool) -> str:
    """Return whose the access token is, for a person.

    Args:
        targets: Repositories that are to be written, each ``owner/name``.
        asks: Whether the Hub is asked; otherwise it is only looked whether there is a token.

    Raises:
        PublishError: If there is none, the Hub does not accept it or cannot be reached, or it may
            not write the repositories of an owner.
    """
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise PublishError(
            "publishing to the Hub needs an access token: log in by `hf auth login`, or set "
            "HF_TOKEN"
        )
    if not asks:
        return "there is one"
    with hub_errors("the Hub's account", silence_s=_ANSWER_S):
        account = HfApi().whoami()
    _check_rights(account, targets)
    return f"it is {account['name']}'s"


def _check_rights(account: Mapping[str, Any], targets: Sequence[str]) -> None:
    """Check what the Hub states of a token's rights; of a fine-grained one that is not decided."""
    role = ((account.get("auth") or {}).get("accessToken") or {}).get("role")
    if role == _MAY_READ:
        raise PublishError(
            f"the access token of {account['name']} may read only: make one that may write at "
            f"{_TOKENS}, and log in with it by `hf auth login`, or set HF_TOKEN"
        )
    if role != "write":
        return
    roles = {each["name"]: each.get("roleInOrg") for each in account.get("orgs") or ()}
    for target in targets:
        owner = target.partition("/")[0]
        if owner == account["name"] or roles.get(owner, _MAY_READ) != _MAY_READ:
            continue
        raise PublishError(
            f"{target} is {owner}'s, where {account['name']} may not write: name a repository of "
            f"your own, or have yourself made a member who may write"
        )
