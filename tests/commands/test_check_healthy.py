"""`check-healthy` against real servers on loopback: healthy, unhealthy, missing, another program, and with TLS."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509

from exporter.cli import main
from exporter.commands.check_healthy import certificate_reason
from tests.e2e.processes import free_port
from tests.web import pki

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
HEALTHY = b"aliyun-vod-exporter is healthy.\n"


@contextlib.contextmanager
def listening(
    status: int = 200, body: bytes = HEALTHY, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that answers every request in this way, and the requested paths."""
    requests: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


class CheckResult:
    """The exit status of a check and its output."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *argv: str) -> None:
        try:
            self.status = main(["check-healthy", *argv], {})
        except SystemExit as end:
            self.status = end.code if isinstance(end.code, int) else 1
        self.out, self.err = capsys.readouterr()


@pytest.mark.parametrize("under", ["", "/", "/vod", "/vod/"])
def test_a_healthy_exporter(under: str, capsys: pytest.CaptureFixture[str]) -> None:
    with listening() as (url, requests):
        result = CheckResult(capsys, f"--url={url}{under}")
    path = f"{under.rstrip('/')}/-/healthy"
    assert requests == [path]
    assert (result.status, result.out, result.err) == (0, f"{url}{path}: aliyun-vod-exporter is healthy.\n", "")


@pytest.mark.parametrize(
    ("status", "body", "line"),
    [
        (503, b"stuck\n", "HTTP 503, stuck"),
        (404, b"", "HTTP 404,"),
        (302, b"elsewhere", "HTTP 302, elsewhere"),
        (500, b"two\nlines\x1b[31m \xff" + b"x" * 1000, "HTTP 500, two lines [31m \ufffd" + "x" * 174),
    ],
)
def test_any_other_response_is_reported_in_one_line(
    status: int, body: bytes, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(status, body) as (url, _):
        result = CheckResult(capsys, f"--url={url}")
    assert result.status == 1
    assert result.out == ""
    assert result.err == f"{url}/-/healthy: {line}\n"


def test_nothing_listens(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = CheckResult(capsys, f"--url={url}")
    assert result.status == 1
    assert result.err == f"{url}/-/healthy: nothing listens there; start the exporter, or name its address with --url\n"


def test_no_answer_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = CheckResult(capsys, f"--url=http://127.0.0.1:{silent.getsockname()[1]}", "--timeout=0.05")
    assert result.status == 1
    assert result.err.endswith(": no response in time\n")


def test_a_name_that_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    result = CheckResult(capsys, "--url=http://exporter.invalid:9985")
    assert result.status == 1
    assert result.err.startswith("http://exporter.invalid:9985/-/healthy: ")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("name", ["a..b", f"{'a' * 64}.b"])
def test_what_is_no_name_of_a_host(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    unhealthy = CheckResult(capsys, f"--url=http://{name}")
    assert unhealthy.status == 1
    assert unhealthy.err.startswith(f"http://{name}/-/healthy: not a name of a host")


def test_a_proxy_of_the_environment_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with listening() as (url, _):
        assert CheckResult(capsys, f"--url={url}").status == 0


def test_a_key_log_of_the_environment_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys")

    result = CheckResult(capsys, f"--url=https://127.0.0.1:{free_port()}")

    assert result.status == 1
    assert "nothing listens there" in result.err


@pytest.mark.parametrize(
    ("argv", "result"),
    [
        (["--url=127.0.0.1:9985"], "write http:// or https://, host and port, as in http://127.0.0.1:9985"),
        (["--url=ftp://127.0.0.1"], "write http:// or https://"),
        (["--url=http://"], "write http:// or https://"),
        (["--url=http://127.0.0.1:0"], "write http:// or https://"),
        (["--url=http://127.0.0.1:99999"], "write http:// or https://"),
        (["--url=http://127.0.0.1:9985/?a=b"], "write http:// or https://"),
        (["--url=http://127.0.0.1:9985/a b"], "write http:// or https://"),
        (["--url=http://[::1"], "write http:// or https://"),
        (["--url=http://127.0.0.1:1/é"], "write http:// or https://"),
        (["--timeout=soon"], "'soon' is not a number of seconds above 0"),
        (["--timeout=0"], "'0' is not a number of seconds above 0"),
        (["--timeout=nan"], "'nan' is not a number of seconds above 0"),
        (["--url=https://127.0.0.1:1", "--tls.ca-file=none.pem"], "--tls.ca-file: No such file or directory; write a"),
        (
            ["--url=https://127.0.0.1:1", "--tls.cert-file=none.pem"],
            "--tls.cert-file: No such file or directory; write a",
        ),
        (["--url=https://127.0.0.1:1", "--tls.key-file=none.pem"], "--tls.key-file: give --tls.cert-file too"),
    ],
)
def test_a_wrong_flag_is_refused(argv: list[str], result: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused = CheckResult(capsys, *argv)
    assert refused.status == 2
    assert result in refused.err


def test_a_password_in_the_address_is_refused_and_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    refused = CheckResult(capsys, "--url=http://user:hunter2@127.0.0.1:9985")
    assert refused.status == 2
    assert "hunter2" not in refused.err


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_tls_is_verified(
    tls: ssl.SSLContext, authority: trustme.CA, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    with listening(tls=tls) as (url, _):
        strict = CheckResult(capsys, f"--url={url}")
        known = CheckResult(capsys, f"--url={url}", f"--tls.ca-file={ca_file}")
        careless = CheckResult(capsys, f"--url={url}", "--tls.insecure-skip-verify")
    assert strict.status == 1
    assert strict.err == (
        f"{url}/-/healthy: its certificate comes from a CA that is not trusted;"
        " give that CA as --tls.ca-file, or --tls.insecure-skip-verify on loopback\n"
    )
    assert (known.status, careless.status) == (0, 0)


def test_the_certificate_itself_may_be_trusted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issued = pki.issued()["server"]
    context = server_of(issued, issued, tmp_path)
    with listening(tls=context) as (url, _):
        assert CheckResult(capsys, f"--url={url}", f"--tls.ca-file={tmp_path}/server.crt").status == 0


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (25, "a CA in its chain may not issue it"),
        (34, "unknown critical extension"),
        (66, "too weak; issue it with at least 2,048 bits"),
        (68, "weak hash; issue it with SHA-256"),
        (999, "(OpenSSL's error 999); give --tls.ca-file"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_not_the_trust_in_its_authority(code: int, says: str) -> None:
    assert says in certificate_reason(code)


@pytest.mark.parametrize("content", ["", "text\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_a_usable_authority_is_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ca.pem").write_text(content)
    refused = CheckResult(capsys, "--url=https://127.0.0.1:1", f"--tls.ca-file={tmp_path}/ca.pem")
    assert refused.status == 2
    assert "--tls.ca-file: holds no certificates, or one that cannot be read; write a readable PEM" in refused.err


@pytest.fixture
def strict_ssl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default contexts of Python 3.13."""
    make = ssl.create_default_context

    def strict(*, cafile: str | None) -> ssl.SSLContext:
        context = make(cafile=cafile)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


def server_of(issued: pki.Issued, by: pki.Issued, folder: Path) -> ssl.SSLContext:
    """A server with this certificate; `ca.crt` in the folder is its issuer."""
    for name, content in (("ca.crt", by.cert_pem), ("server.crt", issued.cert_pem), ("server.key", issued.key_pem())):
        (folder / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    return context


@pytest.mark.usefixtures("strict_ssl")
@pytest.mark.parametrize(
    ("strict_ca", "strict_leaf", "reason"),
    [
        (True, True, None),
        (True, False, "has no authority key identifier"),
        (False, True, "has no key usage"),
        (False, False, "has no authority key identifier"),
    ],
)
def test_what_python_3_13_refuses_is_named_with_what_to_do(
    strict_ca: bool,  # noqa: FBT001 - of a table
    strict_leaf: bool,  # noqa: FBT001 - of a table
    reason: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ca = pki.issue("CA", ca=True, strict=strict_ca)
    context = server_of(pki.issue("server", by=ca, sans=pki.SERVER, strict=strict_leaf), ca, tmp_path)
    with listening(tls=context) as (url, _):
        result = CheckResult(capsys, f"--url={url}", f"--tls.ca-file={tmp_path}/ca.crt")
        careless = CheckResult(capsys, f"--url={url}", "--tls.insecure-skip-verify")
    assert careless.status == 0
    assert result.status == (1 if reason else 0)
    if reason:
        assert result.err == (
            f"{url}/-/healthy: its certificate or CA {reason}, which Python 3.13 and newer refuse;"
            " issue it again (docs/web-configuration.md), or --tls.insecure-skip-verify on loopback\n"
        )


@pytest.mark.tool("openssl")
@pytest.mark.usefixtures("strict_ssl")
def test_what_the_documentation_issues_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "web-configuration.md").read_text()
    (script,) = re.findall(r"```sh\n(openssl .*?)```", page, re.DOTALL)
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with listening(tls=context) as (url, _):
        result = CheckResult(capsys, f"--url={url}", f"--tls.ca-file={tmp_path}/ca.crt")
    assert (result.status, result.err) == (0, "")


def test_a_certificate_for_another_name_or_use_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ca = pki.authority()
    elsewhere = pki.issue("other", by=ca, sans=(x509.DNSName("other.example"),))
    with listening(tls=server_of(elsewhere, ca, tmp_path)) as (url, _):
        other = CheckResult(capsys, f"--url={url}", f"--tls.ca-file={tmp_path}/ca.crt")
    assert "; write one that it has in --url, or --tls.insecure-skip-verify on loopback\n" in other.err
    for_clients = pki.issue("client", by=ca, sans=pki.SERVER, client=True)
    with listening(tls=server_of(for_clients, ca, tmp_path)) as (url, _):
        client = CheckResult(capsys, f"--url={url}", f"--tls.ca-file={tmp_path}/ca.crt")
    assert client.err.endswith(": its certificate is not for servers; issue it with serverAuth\n")


@pytest.mark.parametrize("code", [1, 9, 10, 25, 34, 66, 68, 79, 82, 85, 94])
def test_every_reason_is_short_enough_to_be_shown_whole(code: int) -> None:
    assert len(certificate_reason(code)) < 200


def test_a_client_certificate_is_sent_where_one_is_requested(
    tls: ssl.SSLContext, authority: trustme.CA, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca_file, cert_file, key_file = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca_file)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    mine = authority.issue_cert("check-healthy.example")
    mine.cert_chain_pems[0].write_to_path(cert_file)
    mine.private_key_pem.write_to_path(key_file)
    with listening(tls=tls) as (url, _):
        without = CheckResult(capsys, f"--url={url}", f"--tls.ca-file={ca_file}")
        other_result = CheckResult(
            capsys,
            f"--url={url}",
            f"--tls.ca-file={ca_file}",
            f"--tls.cert-file={cert_file}",
            f"--tls.key-file={key_file}",
        )
    assert without.status == 1
    assert without.err.endswith("; if it asks for a client certificate, give --tls.cert-file\n")
    assert other_result.status == 0


def test_the_wrong_scheme_is_reported(tls: ssl.SSLContext, capsys: pytest.CaptureFixture[str]) -> None:
    with listening() as (url, _):
        plain = CheckResult(capsys, f"--url={url.replace('http', 'https')}")
    with listening(tls=tls) as (url, _):
        encrypted = CheckResult(capsys, f"--url={url.replace('https', 'http')}")
    assert (plain.status, encrypted.status) == (1, 1)
    assert plain.err.endswith(": does not speak TLS; write http:// in --url\n")
    assert encrypted.err.endswith(": no HTTP response; if it speaks TLS, write https:// in --url\n")
