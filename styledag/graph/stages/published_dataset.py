"""The dataset on the Hub, or in a folder of the same layout, one a style with `publish.dataset`.

Only what changed is uploaded, in one commit under a tag of the version; a version that is there is
left alone.
"""

from styledag.graph.exports.publication import located, publish_dataset, record
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage
from styledag.publishing.hub.settings import PublishSettings
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def publish(inputs: Inputs, workspace: Workspace) -> Facts:
    """Publish the dataset and keep the card."""
    settings, target = inputs.settings["publish"], inputs.settings["target"]
    staging = workspace.scratch / "content"
    where = located(target, settings, inputs.root)
    facts = publish_dataset(inputs.upstream["image_dataset"], where, settings, staging)
    workspace.work["uploads"] += facts["uploaded"]
    record(facts, target, staging, workspace.folder)
    return facts


def _is_asked_for(declared: Declaration) -> bool:
    publish = declared.style.publish
    return publish is not None and publish.dataset is not None


def _settings(declared: Declaration) -> Settings:
    publish = declared.style.publish or PublishSettings()
    return Settings(
        target=publish.dataset, to=publish.to, deny_licences=publish.deny_licences
    ).beside(publish=publish)


STAGE = Stage(
    name="published_dataset",
    grain="style",
    description=__doc__,
    group="publishing",
    kinds=frozenset({"huggingface"}),
    code_version="1",
    run=publish,
    is_asked_for=_is_asked_for,
    settings=_settings,
    acts_outside=True,
    reads=(Reads("image_dataset"),),
)
