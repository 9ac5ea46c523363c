"""What an engine's answer about a container becomes."""

from __future__ import annotations

from typing import Any

import pytest

from wizard.host.engine.answers import container_info


def network(**values: str) -> dict[str, Any]:
    return {"IPAddress": "", "GlobalIPv6Address": "", **values}


@pytest.mark.parametrize(
    ("mode", "running", "networks", "address"),
    [
        ("default", True, {"bridge": network(IPAddress="172.17.0.2")}, "172.17.0.2"),
        ("default", False, {"bridge": network()}, ""),
        ("host", True, {"host": network()}, "127.0.0.1"),
        ("host", False, {"host": network()}, ""),
        ("none", True, {"none": network()}, ""),
        ("x", True, {"x": network(), "y": network(IPAddress="10.1.0.3", GlobalIPv6Address="fd00::3")}, "10.1.0.3"),
        ("x", True, {"x": network(GlobalIPv6Address="fd00::2")}, "fd00::2"),
        ("x", True, {"x": None}, ""),
        ("x", True, None, ""),
    ],
)
def test_where_a_container_is_found(mode: str, running: bool, networks: dict[str, Any] | None, address: str) -> None:
    raw = {
        "Id": "a1",
        "State": {"Status": "running" if running else "exited", "Running": running},
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": networks},
    }
    assert container_info(raw).address == address
