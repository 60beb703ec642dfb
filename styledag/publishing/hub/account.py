"""The account that the Hub's access token belongs to."""

from styledag.errors import PublishError
from styledag.publishing.hub.patience import hub_errors


def hub_account(*, asks: bool) -> str:
    """Return whose the access token is, for a person.

    Args:
        asks: Whether the Hub is asked; otherwise it is only looked whether there is a token.

    Raises:
        PublishError: If there is none, or the Hub does not accept it or cannot be reached.
    """
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise PublishError(
            "publishing to the Hub needs an access token: log in by `hf auth login`, or set "
            "HF_TOKEN"
        )
    if not asks:
        return "there is one"
    with hub_errors("the Hub's account"):
        return f"it is {HfApi().whoami()['name']}'s"
