import pytest

from styledag.captions.chat_completions import address, completions_address


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/v1",
        "http://localhost:8000/v1/",
        " http://localhost:8000/v1 ",
        "http://localhost:8000/v1/chat/completions",
        "http://localhost:8000/v1/chat/completions/",
    ],
)
def test_the_address_is_the_same_however_it_is_written(url: str) -> None:
    assert completions_address(url) == "http://localhost:8000/v1/chat/completions"
    assert address(url, "/models") == "http://localhost:8000/v1/models"


def test_the_query_that_azure_wants_stays_behind_the_path() -> None:
    url = "https://x.openai.azure.com/openai/deployments/gpt?api-version=2024-10-21"
    assert completions_address(url) == (
        "https://x.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21"
    )
