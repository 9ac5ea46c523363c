"""Proxies: whom a program would go through, by the rules that curl, requests and Docker share."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxies:
    """What is set, "" for nothing. ``none`` is the list of hosts that are reached without a proxy."""

    http: str = ""
    https: str = ""
    none: str = ""

    def to(self, host: str) -> str:
        """The proxy that an https address on ``host`` (it may have a port) is reached through, "" for none."""
        return "" if is_exempt(self.none, host) else self.https


def of_environment(environ: Mapping[str, str]) -> Proxies:
    """The proxies of a shell. Small letters win, as with requests."""

    def named(name: str) -> str:
        return (environ.get(name) or environ.get(name.upper()) or "").strip()

    every = named("all_proxy")
    return Proxies(named("http_proxy") or every, named("https_proxy") or every, named("no_proxy"))


def is_exempt(none: str, host: str) -> bool:
    """Whether the list ``none`` has ``host``: ``*``, a name, a name of a domain above it, an address or a network."""
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    for item in none.replace(",", " ").split():
        rule = item.lower()
        if rule == "*" or rule == host.lower():
            return True
        rule = rule.removeprefix("*").lstrip(".")
        if name == rule or (rule and name.endswith(f".{rule}")):
            return True
        try:
            if ipaddress.ip_address(name) in ipaddress.ip_network(item, strict=False):
                return True
        except (ValueError, TypeError):
            continue
    return False


def address(url: str) -> str:
    """``host:port`` of a proxy, without user and password, to compare two of them; "" for none."""
    if not url:
        return ""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or _PORTS.get(parts.scheme, 80)
    except ValueError:
        return url
    return f"{(parts.hostname or '').lower()}:{port}"


def has_password(url: str) -> bool:
    """Whether user and password stand in the address of a proxy."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
    except ValueError:
        return "@" in url
    return bool(parts.username or parts.password)
