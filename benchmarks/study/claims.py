"""The claims of the seeds' authors, as differences between two experiments."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.study.measure import Measure
from styledag.scoring.records import Estimate


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One experiment has more of something than another.

    Attributes:
        says: The claim in words.
        more: Experiment that has more by the claim.
        less: Experiment that has less by the claim.
        measures: Of what, each of which is compared.
    """

    says: str
    more: str
    less: str
    measures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found of a claim.

    Attributes:
        claim: It.
        measure: What was compared.
        more: Figure of the experiment that has more by the claim.
        less: Figure of the other.
        difference: The first less the second, on the same subjects and seeds.
    """

    claim: Claim
    measure: str
    more: Estimate
    less: Estimate
    difference: Estimate

    @property
    def verdict(self) -> str:
        """Whether the difference's interval leaves zero, and to which side."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return "not measurable"
        if low > 0:
            return "reproduces"
        return "the opposite" if high < 0 else "not shown"


MEMORY = ("remembered", "retention")
STYLE = ("learned", "style")
FAMILY = ("family", "family_likeness", "family_likeness_pixels")

CLAIMS = (
    Claim(says="EMA weights remember more of the base than raw weights",
          more="full", less="raw", measures=MEMORY),
    Claim(says="... and show less of the style", more="raw", less="full", measures=STYLE),
    Claim(says="diffusers' ramp alone remembers more than raw weights",
          more="warmup", less="raw", measures=MEMORY),
    Claim(says="an EMA that keeps 20 % of the base remembers more than diffusers' ramp",
          more="full", less="warmup", measures=MEMORY),
    Claim(says="... and one that keeps 50 % still more",
          more="half", less="full", measures=MEMORY),
    Claim(says="such an EMA remembers more than raw weights blended with as much of the base",
          more="full", less="raw-blend", measures=MEMORY),
    Claim(says="... and shows less of the style",
          more="raw-blend", less="full", measures=STYLE),
    Claim(says="attention alone remembers more of the base than the whole UNet",
          more="attention", less="full", measures=MEMORY),
    Claim(says="... and shows less of the style", more="full", less="attention", measures=STYLE),
    Claim(says="attention alone remembers more than a blend of the whole UNet with the base",
          more="attention", less="full-quarter", measures=MEMORY),
    Claim(says="... and shows more of the style",
          more="attention", less="full-quarter", measures=STYLE),
    Claim(says="cross-attention alone shows still less of it",
          more="attention", less="cross-attention", measures=STYLE),
    Claim(says="a family of 24 copies is drawn for unrelated prompts",
          more="family-kept", less="full", measures=FAMILY),
    Claim(says="... less often when 4 of it are kept",
          more="family-kept", less="family-capped", measures=FAMILY),
    Claim(says="... or when families are weighted alike",
          more="family-kept", less="family-weighted", measures=FAMILY),
    Claim(says="more epochs give more style", more="long", less="short", measures=STYLE),
    Claim(says="... and less memory of the base", more="short", less="long", measures=MEMORY),
    Claim(says="... and more copies of training images",
          more="long", less="short", measures=("copying",)),
    Claim(says="DreamBooth, asked for with its word, remembers more of the base",
          more="dreambooth", less="full", measures=MEMORY),
    Claim(says="... and leaves prompts without its word alone",
          more="dreambooth-plain", less="dreambooth", measures=MEMORY),
)  # fmt: skip


def judged(measures: Mapping[str, Mapping[str, Measure]]) -> list[Found]:
    """Return what was found of each claim whose experiments were both made.

    Args:
        measures: By experiment and name.
    """
    return [
        _found(claim, name, measures[claim.more][name], measures[claim.less][name])
        for claim in CLAIMS
        for name in claim.measures
        if claim.more in measures and claim.less in measures
    ]


def _found(claim: Claim, name: str, more: Measure, less: Measure) -> Found:
    return Found(
        claim=claim,
        measure=name,
        more=more.estimate(),
        less=less.estimate(),
        difference=more.minus(less).estimate(),
    )
