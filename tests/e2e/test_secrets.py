"""Secrets in every possible setting; all output of the process is searched for them."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import bcrypt
import httpx
import pytest
import trustme

from tests.e2e.processes import GLANCE, PATIENCE, exporter, get, until
from tests.vod.credential_servers import Keys, Sts, listening

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

# Every one is searched for; key IDs are not secret.
PLANTED: Final = {
    "configuration, secret": "planted-configuration-secret-0001",
    "configuration, token": "planted-configuration-token-0002",
    "file, secret": "planted-file-secret-0003",
    "file, token": "planted-file-token-0004",
    "file, changed": "planted-file-changed-0005",
    "environment, secret": "planted-environment-secret-0006",
    "environment, token": "planted-environment-token-0007",
    "variable of the configuration": "planted-variable-secret-0008",
    "STS, start": "planted-sts-start-0009",
    "STS, secret": "planted-sts-secret-0010",
    "STS, token": "planted-sts-token-0011",
    "password of the page": "planted-password-0012",
    "refused configuration": "planted-refused-secret-0013",
}
USER: Final = "operator"
REFUSAL: Final = {
    "main": (403, "Forbidden.RAM"),
    "files": (404, "InvalidAccessKeyId.NotFound"),
    "role": (400, "SignatureDoesNotMatch"),
    "default": (500, "Meter.ServerInternalError"),
}


@dataclass
class EchoService:
    """A service that repeats the whole request, and further secrets, in every field of its error responses."""

    url: str = ""
    signatures: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)

    def refusal(self, account: str, authorization: str, token: str) -> tuple[int, bytes]:
        self.signatures.add(authorization.rpartition("Signature=")[2])
        self.tokens.add(token)
        known = SECRETS_OF[account]
        echo = f"{authorization} {token} {' '.join(known)} {quote(' '.join(known))}"
        status, code = REFUSAL[account]
        error_document = {
            "Code": f"{code}.{known[0]}" if account == "role" else code,
            "Message": f"{echo} Specified signature is not matched. server string to sign is:POST\n/\n{echo}",
            "RequestId": f"REQ-{known[0]}",
            "Recommend": echo,
            "HostId": echo,
        }
        return status, json.dumps(error_document).encode()


SECRETS_OF: Final = {
    "main": (PLANTED["configuration, secret"], PLANTED["configuration, token"]),
    "files": (PLANTED["file, secret"], PLANTED["file, token"]),
    "role": (PLANTED["STS, secret"], PLANTED["STS, token"]),
    "default": (PLANTED["environment, secret"], PLANTED["environment, token"]),
}
KEY_IDS: Final = {
    "config-key-id": "main",
    "file-key-id": "files",
    "role-key-id": "role",
    "environment-key-id": "default",
}


@pytest.fixture
def echo() -> Generator[EchoService]:
    service = EchoService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            authorization = self.headers["Authorization"]
            account = next(name for key_id, name in KEY_IDS.items() if f"Credential={key_id}," in authorization)
            token = self.headers.get("x-acs-security-token", "")
            status, body = service.refusal(account, authorization, token)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": GLANCE})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


def configuration(endpoint: str, sts: str) -> str:
    return f"""
accounts:
  - name: main
    endpoint: {endpoint}
    credentials:
      access_key_id: config-key-id
      access_key_secret: {PLANTED["configuration, secret"]}
      security_token: {PLANTED["configuration, token"]}
  - name: files
    endpoint: {endpoint}
    credentials: {{access_key_id: file-key-id, access_key_secret_file: secret, security_token_file: token}}
  - name: role
    endpoint: {endpoint}
    credentials:
      access_key_id: start-id
      access_key_secret: ${{START_SECRET}}
      provider: ram_role_arn
      role_arn: acs:ram::1:role/a
      sts_endpoint: {sts}
  - name: default
    endpoint: {endpoint}
    credentials: {{provider: env}}
  - name: unused
    endpoint: {endpoint}
    credentials: {{access_key_id: unused-id, access_key_secret: "${{PLANTED_VARIABLE}}"}}
queries:
  - {{name: main, account: main, media: all, days_ago: 1, every: 10s}}
  - {{name: files, account: files, media: {{ids: [a, b]}}, days_ago: [1, 8], every: 10s}}
  - {{name: role, account: role, media: all, days_ago: 1, every: 10s}}
  - {{name: default, account: default, media: {{top: 3}}, days_ago: 1, every: 10s}}
"""


def everything(url: str, password: str) -> str:
    """Every response with its headers, with and without authentication."""
    everything_written = []
    probes = [
        ("GET", path, "*/*")
        for path in (
            "/",
            "/?lang=zh&state=unanswered",
            "/api/v1/status",
            "/api/v1/status?per_page=1000",
            "/api/v1/status?nonsense=1",
            "/-/ready",
            "/-/healthy",
            "/nothing",
        )
    ]
    probes += [
        ("GET", "/metrics", "text/plain;version=0.0.4"),
        ("GET", "/metrics", "text/plain;version=1.0.0"),
        ("GET", "/metrics", "application/openmetrics-text;version=1.0.0"),
        ("POST", "/-/reload", "*/*"),
        ("DELETE", "/", "*/*"),
    ]
    for auth in ((USER, password), None, (USER, password + "x")):
        with httpx.Client(base_url=url, auth=auth, timeout=PATIENCE) as client:
            for method, path, accept in probes:
                answer = client.request(method, path, headers={"Accept": accept})
                everything_written.append(f"{method} {path} {answer.status_code} {answer.headers}\n{answer.text}")
    return "\n".join(everything_written)


def test_no_output_contains_a_secret(echo: EchoService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    sts = Sts(
        start=("start-id", PLANTED["STS, start"], ""),
        keys=Keys("role-key-id", PLANTED["STS, secret"], PLANTED["STS, token"]),
    )
    for name, value in (("secret", "file, secret"), ("token", "file, token")):
        (tmp_path / name).write_text(PLANTED[value] + "\n")
    password = PLANTED["password of the page"]
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yaml").write_text(f"basic_auth_users: {{{USER}: '{hashed}'}}\n")
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)

    with contextlib.ExitStack() as stack:
        sts.host = stack.enter_context(listening(sts, ca))
        (tmp_path / "config.yaml").write_text(configuration(echo.url, sts.host))
        process = stack.enter_context(
            exporter(
                tmp_path,
                "serve",
                "--web.listen-address=127.0.0.1:0",
                "--web.config.file=web.yaml",
                "--web.enable-lifecycle",
                "--storage.path=state.db",
                "--log.level=debug",
                DEBUG="sdk",
                SSL_CERT_FILE=str(tmp_path / "ca.pem"),
                ALIBABA_CLOUD_ACCESS_KEY_ID="environment-key-id",
                ALIBABA_CLOUD_ACCESS_KEY_SECRET=PLANTED["environment, secret"],
                ALIBABA_CLOUD_SECURITY_TOKEN=PLANTED["environment, token"],
                START_SECRET=PLANTED["STS, start"],
                PLANTED_VARIABLE=PLANTED["variable of the configuration"],
            )
        )
        url = process.url()
        until(lambda: get(f"{url}/-/ready").status_code == httpx.codes.OK, "the first polls")
        everything_written = everything(url, password)

        (tmp_path / "secret").write_text(PLANTED["file, changed"])
        (tmp_path / "config.yaml").write_text(
            f"accounts: [{{name: a, credentials: {{access_key_secret: '{PLANTED['refused configuration']}',"
            f" access_key_id: {PLANTED['refused configuration']} x, nonsense: {PLANTED['refused configuration']}}}}}]\n"
        )
        (tmp_path / "web.yaml").write_text(f"basic_auth_users: {{{USER}: {password}}}\n")
        process.process.send_signal(signal.SIGHUP)
        until(lambda: "configuration not reloaded" in process.logged(), "the reload to be refused")
        everything_written += everything(url, password)
        assert process.stop() == 0
        everything_written += process.logged() + process.out.read_text()
        everything_written += "".join(
            path.read_bytes().decode("latin-1") for path in sorted(tmp_path.glob("state.db*"))
        )

    # Every account was polled, rejected and logged; otherwise the check would prove nothing.
    for code in ("Forbidden.RAM", "InvalidAccessKeyId.NotFound", "SignatureDoesNotMatch", "Meter.ServerInternalError"):
        assert code in everything_written
    assert len(echo.signatures) >= 4
    assert {token for token in echo.tokens if token} == {secrets[1] for secrets in SECRETS_OF.values()}
    assert urlsplit(echo.url).netloc in everything_written
    assert "Traceback" not in everything_written

    basic = base64.b64encode(f"{USER}:{password}".encode()).decode()
    secrets = {**PLANTED, "hash": hashed, "Authorization": basic}
    secrets |= {f"signature {number}": text for number, text in enumerate(echo.signatures)}
    displayed = {
        where: everything_written[max(0, everything_written.index(encoded) - 200) :][:400]
        for where, text in secrets.items()
        for encoded in (text, quote(text), base64.b64encode(text.encode()).decode())
        if encoded in everything_written
    }
    assert displayed == {}
