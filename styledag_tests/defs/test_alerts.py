"""Each run that ends is reported once, to whom the environment names, without their addresses."""

import base64
import json
import re
import shutil
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from styledag.defs.alerts import MAIL, SLACK, WEBHOOK, Alert, alerts_of, send
from styledag.defs.code_location import build_definitions
from styledag.loopback import served
from styledag_tests.whole.small_project import make_project

PARTITIONS = dg.StaticPartitionsDefinition(["twemoji.full"])
PARTITION = "twemoji.full"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition) -> list[Alert]:
    result = dg.materialize(
        assets, instance=instance, partition_key=PARTITION, raise_on_error=False
    )
    record = instance.get_run_by_id(result.run_id)
    assert record is not None
    return list(alerts_of(instance, record))


def making(name: str, *, cached: bool = False, **metadata: Any) -> dg.AssetsDefinition:
    @dg.asset(name=name, partitions_def=PARTITIONS)
    def made() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"cached": cached, "version": "72aa", **metadata})

    return made


def test_a_failure_is_one_message_with_its_sentence_and_a_link(
    instance: dg.DagsterInstance,
) -> None:
    @dg.asset(partitions_def=PARTITIONS)
    def raw_images() -> None:
        raise dg.Failure("the wiki is down: try again", allow_retries=False)

    (alert,) = run(instance, raw_images)
    assert (alert.kind, alert.text) == ("failure", f"{PARTITION}: the wiki is down: try again")
    assert alert.link.startswith("http://127.0.0.1:3000/runs/")


def test_a_check_that_stops_a_run_is_reported_instead_of_the_failure(
    instance: dg.DagsterInstance,
) -> None:
    @dg.asset(
        partitions_def=PARTITIONS,
        check_specs=[dg.AssetCheckSpec("dataset_not_shrunk", asset="image_dataset", blocking=True)],
    )
    def image_dataset() -> dg.MaterializeResult:
        shrunk = dg.AssetCheckResult(
            check_name="dataset_not_shrunk", passed=False, description="3 images, after 100"
        )
        return dg.MaterializeResult(check_results=[shrunk])

    (alert,) = run(instance, image_dataset)
    assert alert.kind == "check"
    assert alert.text == f"image_dataset of {PARTITION}: dataset_not_shrunk: 3 images, after 100"


def test_a_check_of_all_partitions_is_reported_with_what_is_wrong(
    instance: dg.DagsterInstance, tmp_path: Path, starter: Path
) -> None:
    definitions = build_definitions(make_project(tmp_path, starter, "http://127.0.0.1:1"))
    whole = dg.AssetCheckKey(dg.AssetKey("checkpoint"), "stored_as_published")

    @dg.asset_check(asset="checkpoint", name="stored_as_published")
    def damaged() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="a file is another one")

    job = dg.define_asset_job("check", dg.AssetSelection.checks(whole))
    sound = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    result = sound.resolve_job_def("check").execute_in_process(instance=instance)
    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.description == "0 partitions are sound"

    job = dg.define_asset_job("check", dg.AssetSelection.checks(damaged))
    wrong = dg.Definitions(asset_checks=[damaged], jobs=[job]).resolve_job_def("check")
    (alert,) = alerts_of(instance, wrong.execute_in_process(instance=instance).dagster_run)
    assert alert.text == "checkpoint: stored_as_published: a file is another one"


def test_a_check_that_only_warns_hides_no_failure(instance: dg.DagsterInstance) -> None:
    @dg.asset(
        partitions_def=PARTITIONS,
        check_specs=[dg.AssetCheckSpec("captions_vary", asset="captions", blocking=True)],
    )
    def captions() -> dg.MaterializeResult:
        same = dg.AssetCheckResult(
            check_name="captions_vary",
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description="all are alike",
        )
        return dg.MaterializeResult(check_results=[same])

    @dg.asset(partitions_def=PARTITIONS, deps=[captions])
    def image_dataset() -> None:
        raise dg.Failure("the disk is full", allow_retries=False)

    kinds = [(alert.kind, alert.text) for alert in run(instance, captions, image_dataset)]
    assert kinds == [
        ("check", f"captions of {PARTITION}: captions_vary: all are alike"),
        ("failure", f"{PARTITION}: the disk is full"),
    ]


@pytest.mark.parametrize("message", ["The process of this run is gone.", None])
def test_a_run_that_lost_its_process_says_so(
    instance: dg.DagsterInstance, message: str | None
) -> None:
    lost = dg.DagsterRun("data", tags={"dagster/partition": PARTITION})
    instance.add_run(lost)
    instance.report_engine_event("The process was killed.", lost)
    instance.report_run_failed(lost, message)
    ended = instance.get_run_by_id(lost.run_id)
    assert ended is not None
    (alert,) = alerts_of(instance, ended)
    assert alert.text == f"{PARTITION}: {message or 'The process was killed.'}"


def test_a_new_model_is_reported_and_one_that_was_found_is_not(
    instance: dg.DagsterInstance,
) -> None:
    (alert,) = run(instance, making("ema_unet"))
    assert (alert.kind, alert.text) == ("new_model", f"{PARTITION} was trained: 72aa")
    assert run(instance, making("ema_unet", cached=True)) == []
    assert run(instance, making("captions")) == []


def test_another_recommendation_is_reported(instance: dg.DagsterInstance) -> None:
    assert run(instance, making("scores", recommended="epoch 8")) == []
    assert run(instance, making("scores", recommended="epoch 8")) == []
    (alert,) = run(instance, making("scores", recommended="weight 0.50"))
    assert alert.text == f"{PARTITION}: weight 0.50 is recommended, no more epoch 8"


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict[str, str]]]]:
    received: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if self.path == "/ok" else 500)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None: ...

    with served(HTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, received


def test_it_goes_to_each_receiver_and_a_secret_address_into_no_log(
    receiver: tuple[str, list[dict[str, str]]],
) -> None:
    url, received = receiver
    alert = Alert("failure", "it failed", "http://ui/runs/1")
    reported: list[str] = []
    send(alert, {}, reported.append)
    assert received == reported == []
    environment = {WEBHOOK: f"{url}/ok", SLACK: f"{url}/secret", MAIL: "a@example.org"}
    send(alert, {**environment, "STYLEDAG_ALERTS_SMTP": "127.0.0.1:1"}, reported.append)
    assert received == [
        {"kind": "failure", "text": "it failed", "link": "http://ui/runs/1"},
        {"text": "*failure* it failed <http://ui/runs/1>"},
    ]
    assert reported == [
        f"the alert could not be sent to {SLACK}: HTTPError",
        f"the alert could not be sent to {MAIL}: ConnectionRefusedError",
    ]


def test_a_caption_in_a_message_mentions_nobody_in_slack(
    receiver: tuple[str, list[dict[str, str]]],
) -> None:
    url, received = receiver
    alert = Alert("check", "half have the caption '<!channel> a & b'", "http://ui/runs/1")
    send(alert, {SLACK: f"{url}/ok"}, [].append)
    assert received == [
        {"text": "*check* half have the caption '&lt;!channel&gt; a &amp; b' <http://ui/runs/1>"}
    ]


class MailServer(socketserver.ThreadingTCPServer):
    """Takes mail over STARTTLS from whoever logs in, and notes what it was told."""

    def __init__(self, tls: ssl.SSLContext, *, offers_tls: bool) -> None:
        self.tls, self.offers_tls, self.told = tls, offers_tls, list[str]()
        self.refuses = "nobody"
        super().__init__(("127.0.0.1", 0), _Mail)


class _Mail(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 ready")
        while line := self.rfile.readline().decode().strip():
            self.server.told.append(line)
            match line.split()[0].upper():
                case "EHLO":
                    offered = "STARTTLS" if self.server.offers_tls else "AUTH PLAIN"
                    self._say("250-here", f"250 {offered}")
                case "STARTTLS":
                    self._say("220 go on")
                    wrapped = self.server.tls.wrap_socket(self.connection, server_side=True)
                    self.rfile = wrapped.makefile("rb")
                    self.wfile = wrapped.makefile("wb")
                    self.request = wrapped  # what the server closes in the end
                    self.server.offers_tls = False
                case "AUTH":
                    self._say("235 welcome")
                case "DATA":
                    self._say("354 go on")
                    while (part := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                        self.server.told.append(part)
                    self._say("250 taken")
                case "QUIT":
                    self._say("221 bye")
                    self.request.close()
                    return
                case "RCPT" if self.server.refuses in line:
                    self._say("550 no such receiver")
                case _:
                    self._say("250 fine")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
        self.wfile.flush()


@pytest.fixture
def mail_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with MailServer(tls, offers_tls=True) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def mail(server: MailServer, user: str, to: str = "team@example.org") -> list[str]:
    reported: list[str] = []
    address = f"smtp://{user}localhost:{server.server_address[1]}"
    environment = {MAIL: to, "STYLEDAG_ALERTS_SMTP": address}
    send(Alert("failure", "it failed", "http://ui/runs/1"), environment, reported.append)
    return reported


def test_mail_goes_to_a_server_that_asks_for_a_password_over_tls(mail_server: MailServer) -> None:
    assert mail(mail_server, "me%40example.org:a%3Ab@") == []
    login = base64.b64encode(b"\0me@example.org\0a:b").decode()
    told = mail_server.told
    assert told.index("STARTTLS") < told.index(f"AUTH PLAIN {login}")
    assert "From: me@example.org" in told
    assert {"To: team@example.org", "it failed"} <= set(told)
    # Large receivers refuse mail without these, which a server adds for local mail at most.
    headers = dict(line.split(": ", 1) for line in told if ": " in line)
    assert abs(parsedate_to_datetime(headers["Date"]).timestamp() - time.time()) < 600
    assert re.fullmatch(r"<[^@<>]+@example\.org>", headers["Message-ID"])


def test_one_refused_receiver_of_several_is_reported(mail_server: MailServer) -> None:
    mail_server.refuses = "gone@example.org"
    reported = mail(mail_server, "", "team@example.org, gone@example.org")
    assert reported == [f"the alert could not be sent to {MAIL}: SMTPRecipientsRefused"]
    assert {"From: team@example.org", "it failed"} <= set(mail_server.told)


def test_no_password_is_sent_to_a_server_without_tls(mail_server: MailServer) -> None:
    mail_server.offers_tls = False
    assert mail(mail_server, "me:secret@") == [
        f"the alert could not be sent to {MAIL}: SMTPNotSupportedError"
    ]
    assert not [line for line in mail_server.told if line.startswith("AUTH")]
    assert mail(mail_server, "") == []
    assert "it failed" in mail_server.told
