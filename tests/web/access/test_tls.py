"""TLS without a network: a TlsEngine as the server, OpenSSL as the client."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.asymmetric import ed25519
from OpenSSL import SSL

from exporter.web.access.settings import SUITES_TLS12, ClientAuth, Pem, TlsSettings
from exporter.web.access.tls import (
    BadPem,
    PemFiles,
    TlsEngine,
    TlsError,
    context,
)
from tests.web import pki
from tests.web.harness import prepared, served


def made(**settings: tuple[str, ...]) -> SSL.Context:
    server = pki.issued()["server"]
    return context(TlsSettings(Pem("cert"), Pem("key"), **settings), PemFiles(server.cert_pem, server.key_pem()))  # type: ignore[arg-type]  # only tuples here


def client(curves: str) -> SSL.Connection:
    own = SSL.Context(SSL.TLS_CLIENT_METHOD)
    assert Binding().lib.SSL_CTX_set1_curves_list(own._context, curves.encode())  # noqa: SLF001 - pyOpenSSL has no other way
    connection = SSL.Connection(own, None)
    connection.set_connect_state()
    return connection


def handshake(ours: TlsEngine, theirs: SSL.Connection) -> None:
    for _ in range(5):
        try:
            theirs.do_handshake()
        except SSL.WantReadError:
            pass
        else:
            return
        finally:
            with_them = theirs.bio_read(65_536)
            assert ours.receive(with_them) == b""
            if answer := ours.pending():
                theirs.bio_write(answer)
    raise AssertionError("no handshake")


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        (("X25519MLKEM768",), "X25519MLKEM768:X25519", "X25519MLKEM768"),
        # The curve of the client's key share wins, as with Go: it saves a round trip.
        (("CurveP384", "X25519"), "X25519:P-384", "x25519"),
        (("CurveP384", "X25519"), "P-384:X25519", "secp384r1"),
    ],
)
def test_tls13_negotiates_a_common_curve(ours: tuple[str, ...], theirs: str, agreed: str) -> None:
    connection = client(theirs)
    handshake(TlsEngine(made(curve_preferences=ours)), connection)
    assert str(connection.get_group_name()).lower() == agreed.lower()


@pytest.mark.tool("openssl")
@pytest.mark.parametrize(("ours", "agreed"), [("CurveP384, X25519", "secp384r1"), ("X25519, CurveP384", "X25519")])
@pytest.mark.parametrize("theirs", ["X25519:P-384", "P-384:X25519"])
async def test_tls12_uses_the_order_of_curves_of_the_server(
    ours: str, agreed: str, theirs: str, tmp_path: Path
) -> None:
    text = f"tls_server_config: {{cert_file: rsa.crt, key_file: rsa.key, curve_preferences: [{ours}]}}\n"
    async with served(prepared(tmp_path, text)) as (port, _):
        asking = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-groups", theirs]
        process = await asyncio.create_subprocess_exec(*asking, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        output, _ = await process.communicate()
    # OpenSSL 3.5 says Peer where earlier versions say Server.
    (line,) = (line for line in output.decode().splitlines() if line.startswith(("Server Temp Key", "Peer Temp Key")))
    assert agreed in line


def test_bytes_that_are_not_tls_get_an_alert() -> None:
    session = TlsEngine(made())
    with pytest.raises(TlsError):
        session.receive(b"\x16\x03\x01\x00\x05nonsense, and more of it")
    assert session.is_over
    assert session.pending().startswith(b"\x15"), "an alert, as TLS numbers its records"


def test_after_the_session_has_ended_nothing_is_sent() -> None:
    session = TlsEngine(made())
    with pytest.raises(TlsError):
        session.receive(b"GET / HTTP/1.1\r\n\r\n")
    session.pending()
    assert session.encrypt(b"secret") == b""
    assert session.close_notify() == b""


def test_a_certificate_that_openssl_rejects_as_weak_is_an_error() -> None:
    weak = pki.issue("weak", key=pki.weak_key())
    with pytest.raises(BadPem, match="is refused by OpenSSL: ") as caught:
        context(TlsSettings(Pem("cert"), Pem("key")), PemFiles(weak.cert_pem, weak.key_pem()))
    assert caught.value.setting == "cert"


# A name of a type that cryptography does not know (x400Address); duplicate names; an unknown TLS feature.
@pytest.mark.parametrize(
    "extensions",
    [
        [("2.5.29.17", "3004a3023000")],
        [("2.5.29.17", "3003820161"), ("2.5.29.18", "3004a3023000")],
        [("1.3.6.1.5.5.7.1.24", "3003020163"), ("2.5.29.17", "3003820161")],
        [("2.5.29.17", "30ff")],
    ],
    ids=["odd name", "odd name of the issuer", "unknown feature", "no DER"],
)
def test_a_certificate_with_unreadable_names_is_rejected_like_any_other(
    extensions: list[tuple[str, str]],
) -> None:
    server, shown = pki.issued()["server"], pki.issue_odd(extensions)
    auth = TlsSettings(
        Pem("cert"), Pem("key"), client_auth=ClientAuth.REQUIRE_ANY, client_allowed_sans=("prometheus.example",)
    )
    ours = TlsEngine(context(auth, PemFiles(server.cert_pem, server.key_pem())))
    theirs = SSL.Context(SSL.TLS_CLIENT_METHOD)
    theirs.use_certificate(shown.certificate)
    theirs.use_privatekey(shown.key)
    connection = SSL.Connection(theirs, None)
    connection.set_connect_state()

    with pytest.raises(TlsError):
        handshake(ours, connection)


def is_accepted(shown: pki.Issued, *authorities: pki.Issued, sans: tuple[str, ...] = ()) -> bool:
    server = pki.issued()["server"]
    auth = TlsSettings(Pem("cert"), Pem("key"), client_auth=ClientAuth.REQUIRE_AND_VERIFY, client_allowed_sans=sans)
    client_ca = b"".join(each.cert_pem for each in authorities)
    ours = TlsEngine(context(auth, PemFiles(server.cert_pem, server.key_pem(), client_ca)))
    theirs = SSL.Context(SSL.TLS_CLIENT_METHOD)
    theirs.use_certificate(shown.certificate)
    theirs.use_privatekey(shown.key)
    connection = SSL.Connection(theirs, None)
    connection.set_connect_state()
    try:
        handshake(ours, connection)
    except TlsError:
        return False
    return ours.is_open


def test_authorities_may_have_one_name_as_after_a_change_of_keys() -> None:
    old, new, stranger = (pki.issue("Clients CA", ca=True) for _ in range(3))
    limited = pki.issue("Clients CA", ca=True, odd=[x509.NameConstraints([x509.DNSName("other.example")], None)])
    # Without the identifier of its issuer's key, which older versions of openssl do not add.
    shown = pki.issue("client", by=new, sans=pki.CLIENT, client=True, strict=False)
    assert is_accepted(shown, new)
    assert is_accepted(shown, new, old)
    assert is_accepted(shown, old, new)
    assert is_accepted(shown, old, new, sans=("prometheus.example",))
    assert not is_accepted(shown, old, new, sans=("another.example",))
    assert not is_accepted(shown, old)
    assert not is_accepted(pki.issue("client", by=stranger, client=True, strict=False), old, new)
    restricted = pki.issue("client", by=limited, sans=pki.CLIENT, client=True, strict=False)
    assert not is_accepted(restricted, old, limited)
    server = pki.issue("server", by=new, sans=pki.SERVER, strict=False)
    assert not is_accepted(server, old, new), "it is not for clients"


def test_client_authorities_that_cannot_be_read_are_skipped_as_in_go() -> None:
    broken = pki.Issued(pki.authority().certificate, pki.authority().key)
    text = broken.cert_pem.replace(b"M", b"?", 3)
    server = pki.issued()["server"]
    auth = TlsSettings(Pem("cert"), Pem("key"), client_auth=ClientAuth.REQUIRE_AND_VERIFY)
    context(auth, PemFiles(server.cert_pem, server.key_pem(), text + broken.cert_pem))
    with pytest.raises(BadPem, match="contains no readable certificate in PEM format"):
        context(auth, PemFiles(server.cert_pem, server.key_pem(), text))


def test_a_certificate_of_the_chain_that_cannot_be_read_is_named() -> None:
    server, ca = pki.issued()["server"], pki.authority()
    with pytest.raises(BadPem, match="its certificate 2 of 2 cannot be read"):
        context(
            TlsSettings(Pem("cert"), Pem("key")),
            PemFiles(server.cert_pem + ca.cert_pem.replace(b"M", b"?", 3), server.key_pem()),
        )


@pytest.mark.tool("openssl")
@pytest.mark.parametrize(
    ("kind", "is_supported"),
    [
        ("EC -pkeyopt ec_paramgen_curve:P-521", True),
        ("ED25519", True),
        ("ED448", False),
        ("X25519", False),
        ("EC -pkeyopt ec_paramgen_curve:P-224", False),
        ("EC -pkeyopt ec_paramgen_curve:brainpoolP256r1", False),
        ("EC -pkeyopt ec_paramgen_curve:sect283k1", False),
    ],
)
def test_a_key_with_which_no_handshake_succeeds_is_refused(kind: str, is_supported: bool) -> None:  # noqa: FBT001 - of a table
    made = ["openssl", "genpkey", "-algorithm", *kind.split()]
    pem = subprocess.run(made, check=True, capture_output=True).stdout
    with pytest.raises(BadPem, match="the certificate" if is_supported else "is of a kind that is not supported"):
        context(TlsSettings(Pem("cert"), Pem("key")), PemFiles(pki.issued()["server"].cert_pem, pem))


def test_the_suites_by_default_are_those_of_go() -> None:
    server = pki.issued()["server"]
    made = context(TlsSettings(Pem("cert"), Pem("key")), PemFiles(server.cert_pem, server.key_pem()))
    offered = SSL.Connection(made).get_cipher_list()
    assert {name for name in offered if not name.startswith("TLS_")} == set(SUITES_TLS12.values())


def test_suites_for_elliptic_curves_are_for_ed25519_too() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    issued = pki.issue("server", by=pki.authority(), sans=pki.SERVER, key=key)
    settings = TlsSettings(
        Pem("cert"), Pem("key"), max_version="TLS12", cipher_suites=("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",)
    )
    context(settings, PemFiles(issued.cert_pem, issued.key_pem()))


@pytest.mark.parametrize("label", [b"RSA PRIVATE KEY", b"EC PRIVATE KEY", b"ANY PRIVATE KEY"])
def test_the_label_of_a_key_does_not_matter_as_in_go(label: bytes) -> None:
    for each in (pki.issued()["server"], pki.issued()["rsa"]):
        labelled = each.key_pem().replace(b"PRIVATE KEY", label)
        context(TlsSettings(Pem("cert"), Pem("key")), PemFiles(each.cert_pem, labelled))


def test_the_repr_of_pem_files_contains_no_key() -> None:
    server = pki.issued()["server"]
    assert "PRIVATE" not in repr(PemFiles(server.cert_pem, server.key_pem()))
    assert "PRIVATE" not in repr(Pem("key", text=server.key_pem().decode(), file=Path("a")))
