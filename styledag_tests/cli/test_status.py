import json

from styledag_tests.cli.conftest import Call
from styledag_tests.cli.made_project import MadeProject
from styledag_tests.whole.small_project import MODEL, STYLE


def test_next_reports_what_a_run_would_build_and_what_it_takes(
    made: MadeProject, call: Call
) -> None:
    rows = json.loads(call("status", STYLE, "--next", "--json"))[STYLE]
    states = json.loads(call("status", STYLE, "--json"))[STYLE]
    to_build = [each for each in states if each["state"] in ("outdated", "missing")]
    assert [each["asset"] for each in rows] == list(dict.fromkeys(e["asset"] for e in to_build))
    assert sum(each["partitions"] for each in rows) == len(to_build)
    costs = {each["asset"]: each for each in rows}
    # Two epochs of six images at most, eight a batch.
    assert costs["ema_unet"]["steps"] == 2
    assert costs["encoded_dataset"]["images"] == 6
    model = made.catalogue.store.require("ema_unet", MODEL).folder
    files = [path for path in model.rglob("*") if path.is_file()]
    assert costs["ema_unet"]["size_bytes"] == sum(path.stat().st_size for path in files)
    assert costs["ema_unet"]["seconds"] is None
    assert costs["captions"]["size_bytes"] is None


def test_next_is_a_table_for_people(made: MadeProject, call: Call) -> None:
    shown = call("status", STYLE, "--next")
    assert f"next run of {STYLE}" in shown
    assert "ema_unet" in shown
