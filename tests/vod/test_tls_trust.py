"""Why a certificate is rejected, by the numbers of OpenSSL; real handshakes are in test_client_network.py."""

from __future__ import annotations

import errno
import os
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.errors import StartError
from exporter.vod.tls_trust import describe_rejection, tls_context

if TYPE_CHECKING:
    from pathlib import Path


def error(number: int) -> ssl.SSLCertVerificationError:
    raised = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] raw text")
    raised.verify_code = number
    return raised


@pytest.mark.parametrize(
    ("number", "says", "advises"),
    [
        (9, "it is not yet valid", "clock"),
        (10, "it has expired", "clock"),
        (18, "self-signed", "SSL_CERT_FILE"),
        (19, "self-signed", "SSL_CERT_FILE"),
        (20, "not trusted here", "SSL_CERT_FILE"),
        (21, "not trusted here", "SSL_CERT_FILE"),
        (62, "for another host", "endpoint"),
        (64, "for another address", "endpoint"),
        (85, "Python 3.13 and later enforce (missing authority key identifier)", "RFC 5280"),
        (89, "Python 3.13 and later enforce (basic constraints", "RFC 5280"),
        (92, "Python 3.13 and later enforce (an authority without key usage)", "RFC 5280"),
        (80, "Python 3.13 and later enforce", "RFC 5280"),
        (91, "Python 3.13 and later enforce", "RFC 5280"),
        (24, "an issuer in its chain is not a certificate authority", "SSL_CERT_FILE"),
        (25, "may not have further authorities below it", "reissued"),
        (34, "a critical extension that OpenSSL does not support", "reissued"),
        (47, "may not certify its names", "reissued"),
        (1, "OpenSSL rejects it with error 1", "SSL_CERT_FILE"),
    ],
)
def test_each_reason_has_its_sentence(number: int, says: str, advises: str) -> None:
    reason, advice = describe_rejection(error(number), None)
    assert reason.startswith("its certificate is rejected: ")
    assert says in reason
    assert "raw text" not in reason
    assert advises in advice


def test_the_certificate_is_described() -> None:
    leaf = trustme.CA(organization_name="Corporate CA").issue_cert("a.example", "b.example", common_name="a.example")
    certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_bytes(Encoding.DER)
    reason, _ = describe_rejection(error(20), certificate)
    assert '; issuer "Corporate CA", subject "a.example, ' in reason
    assert reason.endswith(", for a.example, b.example")


@pytest.mark.parametrize(("number", "reason"), [(9, "is not yet valid"), (10, "has expired")])
def test_a_date_of_an_authority_is_not_that_of_the_certificate(number: int, reason: str) -> None:
    ca = trustme.CA()
    leaf = x509.load_pem_x509_certificate(ca.issue_cert("a.example").cert_chain_pems[0].bytes())
    old = x509.load_pem_x509_certificate(
        ca.issue_cert("a.example", not_after=datetime(2020, 1, 1, tzinfo=UTC)).cert_chain_pems[0].bytes()
    )
    reported, _ = describe_rejection(error(number), leaf.public_bytes(Encoding.DER))
    assert f"rejected: the certificate of an authority in its chain {reason}; issuer" in reported
    reported, _ = describe_rejection(error(number), old.public_bytes(Encoding.DER))
    assert f"rejected: it {reason}; issuer" in reported


@pytest.mark.parametrize("form", ["{0}{1}", "{1}{0}", "{1}"])
def test_a_broken_certificate_among_the_authorities_is_named_as_that(form: str, tmp_path: Path) -> None:
    good = trustme.CA().cert_pem.bytes().decode()
    (tmp_path / "ca.pem").write_text(form.format(good, good.replace("M", "?", 3)))
    with pytest.raises(StartError, match=r"SSL_CERT_FILE names .*, which holds a certificate that cannot be read"):
        tls_context({"SSL_CERT_FILE": str(tmp_path / "ca.pem")})


def test_a_chain_may_end_at_any_trusted_certificate(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    for variables in ({}, {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}):
        assert tls_context(variables).verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN


def test_a_certificate_without_any_name_is_described() -> None:
    key, no_name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    begin = datetime(2026, 1, 2, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(no_name, no_name, key.public_key(), 7, begin, begin + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    reason, _ = describe_rejection(error(10), certificate)
    assert reason == (
        "its certificate is rejected: it has expired; issuer without a name, subject without a name,"
        " valid 2026-01-02 to 2026-01-03"
    )


@pytest.mark.parametrize("certificate", [None, b"nothing of the kind"])
def test_what_is_no_certificate_is_not_described(certificate: bytes | None) -> None:
    assert describe_rejection(error(10), certificate)[0] == "its certificate is rejected: it has expired"


def test_only_the_authorities_of_the_file_are_trusted(tmp_path: Path) -> None:
    trustme.CA(organization_name="Corporate CA").cert_pem.write_to_path(tmp_path / "authorities")
    (trusted,) = tls_context({"SSL_CERT_FILE": str(tmp_path / "authorities")}).get_ca_certs()
    assert "Corporate CA" in str(trusted["subject"])


def test_a_pipe_as_the_file_of_authorities_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StartError, match=r"SSL_CERT_FILE names .*pipe', which is not a regular file"):
        tls_context({"SSL_CERT_FILE": str(tmp_path / "pipe")})


def test_a_directory_without_hashed_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
    with pytest.raises(StartError, match=r"SSL_CERT_DIR names .*: run openssl rehash on it"):
        tls_context({"SSL_CERT_DIR": str(tmp_path)})


def test_of_several_directories_each_is_searched(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    (tmp_path / "second" / "0123abcd.0").write_bytes(trustme.CA().cert_pem.bytes())
    value = os.pathsep.join(str(tmp_path / name) for name in ("missing", "first", "second"))
    assert tls_context({"SSL_CERT_DIR": value}).verify_mode is ssl.CERT_REQUIRED


def test_only_the_authorities_of_the_directory_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "system")
    (tmp_path / "0123abcd.0").write_bytes(trustme.CA().cert_pem.bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system"))  # read by OpenSSL for its default authorities
    assert tls_context({"SSL_CERT_DIR": str(tmp_path)}).cert_store_stats()["x509"] == 0


def test_a_directory_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listdir(_directory: str) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.raises(StartError, match=r"SSL_CERT_DIR names .*, which cannot be read: Permission denied"):
        tls_context({"SSL_CERT_DIR": str(tmp_path)})


def test_without_a_variable_the_authorities_are_not_those_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "system")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system"))  # read by OpenSSL for its default authorities
    assert tls_context({}).cert_store_stats()["x509"] > 50


@pytest.mark.parametrize(
    ("variable", "action"), [("SSL_CERT_FILE", "which cannot be read"), ("SSLKEYLOGFILE", "which cannot be written")]
)
@pytest.mark.parametrize(
    ("named", "reason"), [("missing/file", "No such file or directory"), ("file\0", "not a usable path")]
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    variable: str, action: str, named: str, reason: str
) -> None:
    with pytest.raises(StartError) as caught:
        tls_context({variable: named})
    assert str(caught.value) == f"{variable} names {named!a}, {action}: {reason}"


@pytest.mark.parametrize("named", ["missing/keys", ".", "keys\0", "pipe"])
@pytest.mark.parametrize("authorities", [None, "here"])
def test_a_key_log_that_cannot_be_written_is_named(
    named: str, authorities: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    trustme.CA().cert_pem.write_to_path("here")
    variables = {"SSLKEYLOGFILE": named, **({"SSL_CERT_FILE": authorities} if authorities else {})}
    with pytest.raises(StartError, match=r"SSLKEYLOGFILE names .* which cannot be written: "):
        tls_context(variables)


def test_a_key_log_that_can_be_written_is_no_error(tmp_path: Path) -> None:
    assert tls_context({"SSLKEYLOGFILE": str(tmp_path / "keys")}).verify_mode is ssl.CERT_REQUIRED
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0
