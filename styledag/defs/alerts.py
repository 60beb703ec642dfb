"""Messages about runs that nobody watches: failures, new and better models, failed checks.

They go to the log, and to whatever the environment names: addresses are secrets and are in no file.
"""

import os
import smtplib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import getaddresses, localtime, make_msgid
from html import escape
from itertools import pairwise
from ssl import create_default_context
from urllib.parse import unquote, urlsplit

import dagster as dg
import requests
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation

from styledag.defs.history import newest_materialisations, partitions_of
from styledag.graph.freshness.retraining import MODEL

WEBHOOK, SLACK, MAIL, SMTP, UI = (
    f"STYLEDAG_ALERTS_{name}" for name in ("WEBHOOK", "SLACK", "MAIL", "SMTP", "UI")
)
"""Names of environment variables: an address for JSON, one of Slack's incoming webhooks, mail
addresses with the SMTP server that takes its mail, and where the web UI is."""
_UI_URL = "http://127.0.0.1:3000"
_TIMEOUT_S = 20
_SENSOR = "alerts"
_OUTSIDE = "This run has been marked as failed from outside the execution context."
"""Dagster's sentence of a process that was killed; the event before it has the reason."""


@dataclass(frozen=True)
class Alert:
    """One message.

    Attributes:
        kind: ``failure``, ``new_model``, ``recommendation`` or ``check``.
        text: One sentence.
        link: Where the web UI shows more.
    """

    kind: str
    text: str
    link: str


def alert_sensors() -> list[dg.SensorDefinition]:
    """Return the sensors that look at each run once it has ended."""
    return [
        _sensor(f"{_SENSOR}_failure", dg.DagsterRunStatus.FAILURE),
        _sensor(f"{_SENSOR}_success", dg.DagsterRunStatus.SUCCESS),
    ]


def _sensor(name: str, status: dg.DagsterRunStatus) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=status,
        name=name,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports failures, new models, better recommendations and failed checks, to "
        "the log and to what the environment names.",
    )
    def alert(context: dg.RunStatusSensorContext) -> None:
        for each in alerts_of(context.instance, context.dagster_run):
            context.log.info(f"{each.kind}: {each.text} {each.link}")
            send(each, os.environ, context.log.error)

    return alert


def alerts_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Alert]:
    """Yield what there is to report of a run that has ended: one message a failure."""
    link = f"{os.environ.get(UI, _UI_URL)}/runs/{run.run_id}"
    events = [
        entry.get_dagster_event()
        for entry in instance.all_logs(run.run_id)
        if entry.is_dagster_event
    ]
    partition = partitions_of(run)
    stopped_by_check: set[str | None] = set()
    for event in events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found = event.asset_check_evaluation_data
            if not found.passed:
                if found.blocking and found.severity == dg.AssetCheckSeverity.ERROR:
                    stopped_by_check.add(event.step_key)
                yield Alert("check", _check_sentence(found, partition), link)
        elif event.is_step_materialization and event.asset_key is not None:
            yield from _news(instance, event, link)
    if run.status == dg.DagsterRunStatus.FAILURE:
        # What a check stopped was reported with the check.
        failed = [each for each in events if each.is_step_failure]
        others = [each for each in failed if each.step_key not in stopped_by_check]
        if others or not failed:
            of = f"{partition}: " if partition else ""
            yield Alert("failure", f"{of}{_sentence(others or events)}", link)


def _news(instance: dg.DagsterInstance, event: dg.DagsterEvent, link: str) -> Iterator[Alert]:
    asset, partition = event.asset_key, event.partition
    if asset is None or partition is None:
        return
    made = event.step_materialization_data.materialization.metadata
    if "cached" not in made or made["cached"].value:
        return
    if asset == dg.AssetKey(MODEL):
        yield Alert("new_model", f"{partition} was trained: {made['version'].value}", link)
    if asset == dg.AssetKey("scores"):
        records = newest_materialisations(instance, asset, partition, 2)
        former = records[1].asset_materialization if len(records) > 1 else None
        before = None if former is None else former.metadata["recommended"].value
        now = made["recommended"].value
        if before is not None and before != now:
            yield Alert(
                "recommendation", f"{partition}: {now} is recommended, no more {before}", link
            )


def _check_sentence(found: AssetCheckEvaluation, partition: str) -> str:
    of = found.partition or partition
    what = found.asset_key.to_user_string() + (f" of {of}" if of else "")
    return ": ".join([what, found.check_name, *filter(None, [found.description])])


def _sentence(events: list[dg.DagsterEvent]) -> str:
    for event in events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data is not None and failure.user_failure_data.description:
                return str(failure.user_failure_data.description)
            if failure.error is not None:
                return f"{event.step_key} failed: {failure.error.message.strip()}"
    # Of a run that lost its process no step has failed.
    for before, end in pairwise(events):
        if end.is_run_failure and end.message:
            return str(before.message if end.message == _OUTSIDE else end.message)
    return "the run failed; its log has the reason"


def send(alert: Alert, environment: Mapping[str, str], report: Callable[[str], None]) -> None:
    """Send a message to each receiver that the environment names; one that fails stops no other.

    Args:
        alert: The message.
        environment: Has the addresses.
        report: Is called with a sentence, which has no address in it, if a receiver fails.
    """
    receivers: Mapping[str, Callable[[str], None]] = {
        WEBHOOK: lambda to: _post(to, {"kind": alert.kind, "text": alert.text, "link": alert.link}),
        SLACK: lambda to: _post(
            # So that Slack finds no link and no mention: captions may be part of the text.
            # https://docs.slack.dev/messaging/formatting-message-text#escaping
            to,
            {"text": f"*{alert.kind}* {escape(alert.text, quote=False)} <{alert.link}>"},
        ),
        MAIL: lambda to: _mail(to, environment.get(SMTP, "localhost"), alert),
    }
    for name, receiver in receivers.items():
        if address := environment.get(name):
            try:
                receiver(address)
            # A ValueError is a port that is no number.
            except (OSError, ValueError, smtplib.SMTPException) as exc:
                # The text of a connection's error contains its address.
                report(f"the alert could not be sent to {name}: {type(exc).__name__}")


def _post(to: str, content: Mapping[str, str]) -> None:
    requests.post(to, json=content, timeout=_TIMEOUT_S).raise_for_status()


def _mail(to: str, server: str, alert: Alert) -> None:
    """Send a mail by ``HOST[:PORT]``, ``smtp://USER:PASSWORD@HOST[:PORT]`` or ``smtps://...``.

    A password is sent over TLS alone: by STARTTLS, or from the beginning with ``smtps``.
    """
    by = urlsplit(server if "://" in server else f"smtp://{server}")
    user, password = (unquote(each or "") for each in (by.username, by.password))
    message = EmailMessage()
    sender = user if "@" in user else getaddresses([to])[0][1]
    message["From"], message["To"], message["Date"] = sender, to, localtime()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Subject"] = f"styledag: {alert.kind}"
    message.set_content(f"{alert.text}\n\n{alert.link}\n")
    host, tls = by.hostname or "localhost", create_default_context()
    with (
        smtplib.SMTP_SSL(host, by.port or 0, timeout=_TIMEOUT_S, context=tls)
        if by.scheme == "smtps"
        else smtplib.SMTP(host, by.port or 0, timeout=_TIMEOUT_S)
    ) as connection:
        if user and by.scheme != "smtps":
            connection.starttls(context=tls)
        if user:
            connection.login(user, password)
        if refused := connection.send_message(message):
            raise smtplib.SMTPRecipientsRefused(refused)
