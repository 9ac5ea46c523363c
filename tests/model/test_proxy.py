"""Who goes through which proxy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.model.proxy import Proxies, address, has_password, is_exempt, of_environment


def test_the_environment_is_read_as_requests_reads_it() -> None:
    assert of_environment({}) == Proxies()
    assert of_environment({"HTTPS_PROXY": "http://big:1", "https_proxy": "http://small:1"}).https == "http://small:1"
    assert of_environment({"ALL_PROXY": "http://all:1", "HTTP_PROXY": "http://h:1"}) == Proxies(
        "http://h:1", "http://all:1"
    )


@pytest.mark.parametrize(
    ("none", "host", "exempt"),
    [
        ("", "nvcr.io", False),
        ("*", "nvcr.io", True),
        ("nvcr.io", "nvcr.io", True),
        ("nvcr.io", "layers.nvcr.io", True),
        (".nvcr.io", "layers.nvcr.io", True),
        ("*.nvcr.io", "layers.nvcr.io", True),
        ("vcr.io", "nvcr.io", False),
        ("localhost, NVCR.io", "nvcr.io", True),
        ("10.0.0.0/8", "10.1.2.3:5000", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("127.0.0.1", "127.0.0.1:5000", True),
        ("::1", "[::1]:5000", True),
        (",,", "nvcr.io", False),
    ],
)
def test_hosts_that_are_reached_without_a_proxy(none: str, host: str, exempt: bool) -> None:
    assert is_exempt(none, host) is exempt
    assert Proxies(https="http://p:1", none=none).to(host) == ("" if exempt else "http://p:1")


@pytest.mark.parametrize(
    ("url", "seen", "secret"),
    [
        ("", "", False),
        ("http://Proxy.example:3128", "proxy.example:3128", False),
        ("proxy.example:3128", "proxy.example:3128", False),
        ("http://proxy.example/", "proxy.example:80", False),
        ("https://me:pw@proxy.example", "proxy.example:443", True),
        ("me:pw@proxy.example:8", "proxy.example:8", True),
    ],
)
def test_two_proxies_are_compared_by_their_address(url: str, seen: str, secret: bool) -> None:
    assert (address(url), has_password(url)) == (seen, secret)


@given(st.text(), st.text())
def test_any_text_is_taken(one: str, other: str) -> None:
    is_exempt(one, "nvcr.io")
    address(one)
    has_password(one)
    of_environment({"https_proxy": one, "no_proxy": other}).to("nvcr.io")
