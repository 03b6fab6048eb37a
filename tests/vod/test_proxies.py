"""Which variable applies, its valid values, and for which hosts; ranges are compared with Python's ipaddress."""

from __future__ import annotations

import base64
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import StartError
from exporter.vod.proxies import authority, is_excluded, parsed, proxy_for

HOST = "vod.cn-shanghai.aliyuncs.com"
PROXY = "http://proxy.example.com:3128"
addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)
names = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,5})?(\.[a-z]{2,6}){1,3}", fullmatch=True)
ports = st.integers(1, 65_535)


@pytest.mark.parametrize(
    ("scheme", "variables", "used"),
    [
        ("https", {}, None),
        ("https", {"HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        ("https", {"https_proxy": PROXY, "HTTPS_PROXY": "nonsense://"}, "https_proxy"),
        ("https", {"https_proxy": " ", "HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        ("https", {"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks://127.0.0.1:1/"}, "HTTPS_PROXY"),
        ("https", {"HTTPS_PROXY": "", "ALL_PROXY": PROXY}, "ALL_PROXY"),
        ("https", {"all_proxy": PROXY, "HTTP_PROXY": "nonsense://"}, "all_proxy"),
        ("https", {"HTTP_PROXY": PROXY}, None),
        ("http", {"HTTP_PROXY": PROXY, "HTTPS_PROXY": "nonsense://"}, "HTTP_PROXY"),
        ("https", {"HTTPS_PROXY": "nonsense://", "NO_PROXY": "*"}, None),
        ("https", {"HTTPS_PROXY": PROXY, "NO_PROXY": "localhost,fd00::/8"}, "HTTPS_PROXY"),
        ("https", {"HTTPS_PROXY": PROXY, "NO_PROXY": "aliyuncs.com"}, None),
        ("https", {"HTTPS_PROXY": PROXY, "no_proxy": "example.com", "NO_PROXY": "*"}, "HTTPS_PROXY"),
        ("https", {"HTTPS_PROXY": PROXY, "no_proxy": "", "NO_PROXY": "*"}, None),
    ],
)
def test_only_the_variable_that_counts_is_read(scheme: str, variables: dict[str, str], used: str | None) -> None:
    proxy = proxy_for(scheme, HOST, 443, variables)
    assert (proxy.variable if proxy else None) == used


@pytest.mark.parametrize(
    ("written", "host"),
    [("fe80::1%25eth0", "fe80::1%eth0"), ("fe80::1%eth0", "fe80::1%eth0"), ("fe80::1%25", "fe80::1%25")],
)
def test_the_zone_of_a_proxy_is_written_as_in_urls_or_plainly(written: str, host: str) -> None:
    assert parsed("http_proxy", f"http://[{written}]:3128").host == host


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_for_this_machine_no_proxy_variable_is_read(host: str) -> None:
    assert proxy_for("http", host, 80, {"HTTP_PROXY": "nonsense://"}) is None


@pytest.mark.parametrize(
    ("entry", "host", "port", "excluded"),
    [
        ("example.com", "example.com", 443, True),
        ("example.com", "vod.example.com", 443, True),
        ("example.com", "notexample.com", 443, False),
        ("example.com", "example.com.cn", 443, False),
        ("EXAMPLE.com.", "vod.Example.COM", 443, True),
        ("example.com", "example.com.", 443, True),
        (".example.com", "vod.example.com", 443, True),
        (".example.com", "example.com", 443, False),
        ("*.example.com", "vod.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("example.com:443", "vod.example.com", 443, True),
        ("example.com:8443", "vod.example.com", 443, False),
        ("*", "anything", 1, True),
        (" a.b , example.com ", "example.com", 443, True),
        ("a.b example.com", "example.com", 443, True),
        ("a.b,,example.com,", "example.com", 443, True),
        (",", "example.com", 443, False),
        (".", "example.com", 443, False),
        ("*.", "example.com", 443, False),
        ("https://example.com", "example.com", 443, False),
        ("10.0.0.1", "10.0.0.1", 443, True),
        ("10.0.0.1", "10.0.0.10", 443, False),
        ("0.0.1", "10.0.0.1", 443, False),
        (".0.0.1", "10.0.0.1", 443, False),
        ("10.0.0.1:443", "10.0.0.1", 443, True),
        ("10.0.0.1:80", "10.0.0.1", 443, False),
        ("10.0.0.0/8", "10.255.0.1", 443, True),
        ("10.1.2.3/8", "10.255.0.1", 443, True),
        ("10.0.0.0/8", "11.0.0.1", 443, False),
        ("10.0.0.0/99", "10.0.0.1", 443, False),
        ("10.0.0.0/8", "10.example.com", 443, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("fd00::/8", "[fd12::1]", 443, True),
        ("[fd00::]/8", "fd12::1", 443, True),
        ("fd12::1", "[fd12::1]", 443, True),
        ("[fd12::1]", "fd12:0::1", 443, True),
        ("[fd12::1]:443", "fd12::1", 443, True),
        ("[fd12::1]:80", "fd12::1", 443, False),
        ("10.0.0.1", "::ffff:10.0.0.1", 443, True),
        ("::ffff:10.0.0.0/104", "10.0.0.1", 443, True),
    ],
)
def test_hosts_that_are_excluded(entry: str, host: str, port: int, *, excluded: bool) -> None:
    assert is_excluded(host, port, entry) is excluded


@given(addresses, st.integers(0, 128), addresses)
def test_a_range_excludes_the_addresses_that_are_in_it(
    base: ipaddress.IPv4Address, length: int, address: ipaddress.IPv4Address
) -> None:
    network = ipaddress.ip_network(f"{base}/{min(length, base.max_prefixlen)}", strict=False)
    # As in Go, an IPv4 address within IPv6 is an IPv4 address.
    if not any(getattr(each, "ipv4_mapped", None) for each in (address, network[0], network[-1])):
        assert is_excluded(str(address), 443, str(network)) is (address in network)
        assert is_excluded(str(network[-1]), 443, str(network))


@given(names, names, ports)
def test_a_name_excludes_itself_and_what_is_below_it(name: str, other: str, port: int) -> None:
    assert is_excluded(name, port, f"x,{name}")
    assert is_excluded(f"vod.{name}", port, f"{name}:{port} y")
    assert is_excluded(other, port, name) is (other == name or other.endswith(f".{name}"))


@given(st.text(), st.sampled_from([HOST, "10.0.0.1", "fd00::1"]), ports)
def test_whatever_is_excluded_nothing_breaks(no_proxy: str, host: str, port: int) -> None:
    is_excluded(host, port, no_proxy)


@pytest.mark.parametrize(
    ("value", "scheme", "host", "port"),
    [
        ("http://proxy.example.com:3128", "http", "proxy.example.com", 3128),
        ("proxy.example.com:3128/", "http", "proxy.example.com", 3128),
        ("proxy", "http", "proxy", 80),
        ("HTTPS://proxy", "https", "proxy", 443),
        ("http://10.0.0.1:8080/path?query#fragment", "http", "10.0.0.1", 8080),
        ("http://[fd00::1]:3128", "http", "fd00::1", 3128),
        ("http://[fd00::1]", "http", "fd00::1", 80),
        ("http://代理.example:3128", "http", "xn--mnq481g.example", 3128),
        ("http://under_score:3128", "http", "under_score", 3128),
    ],
)
def test_what_names_a_proxy(value: str, scheme: str, host: str, port: int) -> None:
    proxy = parsed("HTTPS_PROXY", value)
    assert (proxy.scheme, proxy.host, proxy.port, proxy.authorization) == (scheme, host, port, "")


def test_a_user_without_a_password_is_a_token_and_hidden() -> None:
    assert "ghp_token" in parsed("HTTPS_PROXY", "http://ghp_token@proxy.example.com:3128").secrets
    assert "user" not in parsed("HTTPS_PROXY", "http://user:password@proxy.example.com:3128").secrets


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_password_may_hold_anything_and_is_shown_nowhere(password: str) -> None:
    proxy = parsed("HTTPS_PROXY", f"http://user:{password.replace('%', '%25')}@proxy.example.com:3128")
    assert base64.b64decode(proxy.authorization.removeprefix("Basic ")).decode() == f"user:{password}"
    assert (proxy.host, proxy.port) == ("proxy.example.com", 3128)
    assert str(proxy) == "proxy.example.com:3128 (HTTPS_PROXY)"
    assert proxy.authorization not in repr(proxy)


@pytest.mark.parametrize("character", list("/#?@%:+ &"))
@pytest.mark.parametrize("end", ["@", "@proxy:x", "@proxy:0", "@proxy:65536", "@[::1", "@[x]:1", "@a b", "@-"])
def test_a_mistake_names_the_variable_and_shows_nothing_of_its_value(character: str, end: str) -> None:
    with pytest.raises(StartError) as caught:
        parsed("https_proxy", f"http://nobody:hunter{character}22{end}")
    assert str(caught.value).startswith("https_proxy is not the URL of a proxy like http://host:port")
    assert not any(part in str(caught.value) for part in ("hunter", "22", "nobody"))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("value", ["socks://h:1", "socks4a://h:1", "socks5h://u:hunter22@h:1", "SOCKS5://h:1"])
def test_socks_is_reported_as_unsupported(value: str) -> None:
    with pytest.raises(StartError, match=r"^ALL_PROXY names a SOCKS proxy, which is not supported") as caught:
        parsed("ALL_PROXY", value)
    assert "hunter22" not in str(caught.value)


@given(st.text())
def test_whatever_a_variable_holds_there_is_a_proxy_or_one_kind_of_error(value: str) -> None:
    try:
        proxy = parsed("HTTPS_PROXY", value)
    except StartError:
        return
    assert 0 < proxy.port < 65_536
    assert authority(proxy.host, proxy.port).isascii()
