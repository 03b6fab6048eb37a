"""Clients are distinguished by what they cannot choose, by their program, and by what they read before."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from exporter.web.client_groups import ClientGroup, Readers, kind_of_hello, kind_of_request, network_of


def hello(ciphers: bytes = b"DEFAULT", name: bytes = b"localhost") -> bytes:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_cipher_list(ciphers)
    client = SSL.Connection(context, None)
    client.set_tlsext_host_name(name)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    return client.bio_read(65_536)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "192.0.2.1", False),
    ],
)
def test_clients_are_distinguished_by_what_they_cannot_choose(one: str, other: str, *, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


def test_every_handshake_of_a_program_is_of_the_same_kind() -> None:
    first, second = hello(), hello()
    assert first != second, "a ClientHello contains random bytes"
    assert kind_of_hello(first) == kind_of_hello(second)


def test_the_kind_does_not_depend_on_how_much_of_a_handshake_has_arrived_with_the_first_bytes() -> None:
    assert kind_of_hello(hello()) == kind_of_hello(hello()[:300])


def test_programs_with_other_ciphers_or_extensions_are_of_another_kind() -> None:
    kinds = {kind_of_hello(each) for each in (hello(), hello(ciphers=b"ECDHE+AESGCM"), hello(name=b"exporter.example"))}
    assert len(kinds) == 3


@pytest.mark.parametrize("size", [0, 1, 5, 43, 44, 45, 46])
def test_any_bytes_have_a_kind(size: int) -> None:
    assert kind_of_hello(b"\xff" * size) == kind_of_hello(b"\xff" * size)


def test_requests_are_of_one_kind_if_they_are_equal() -> None:
    assert kind_of_request(b"GET / HTTP/1.1\r\n\r\n") == kind_of_request(b"GET / HTTP/1.1\r\n\r\n")
    assert kind_of_request(b"GET / HTTP/1.1\r\n\r\n") != kind_of_request(b"GET /metrics HTTP/1.1\r\n\r\n")


def test_readers_are_groups_whose_last_response_was_received() -> None:
    readers, group = Readers(), ClientGroup("192.0.2.1", 1)
    waiting = {"192.0.2.1": {1, 2}, "192.0.2.2": {1}}
    assert readers.pick(waiting) is None
    readers.finished(group)
    assert readers.pick(waiting) == group
    assert readers.pick({"192.0.2.2": {1}}) is None
    readers.disconnected(group)
    readers.disconnected(group)
    assert readers.pick(waiting) is None


def test_readers_take_turns() -> None:
    readers, groups = Readers(), [ClientGroup("192.0.2.1", kind) for kind in range(3)]
    for group in groups:
        readers.finished(group)
    picked = [readers.pick({"192.0.2.1": {0, 1, 2}}) for _ in range(6)]
    assert picked == groups * 2


def test_of_too_many_readers_the_one_that_read_longest_ago_is_forgotten() -> None:
    readers = Readers()
    for kind in (0, 1, 0, *range(2, 258)):
        readers.finished(ClientGroup("192.0.2.1", kind))
    known = [kind for kind in range(258) if readers.pick({"192.0.2.1": {kind}})]
    assert known == list(range(2, 258))
