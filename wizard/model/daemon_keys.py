"""What may stand in ``daemon.json``: every setting of Docker Engine 17.12 to 29.2, its type, and the versions that know
it.

From the flags of dockerd at each of its releases: a name is accepted in the file when it is a flag, or the list that a
flag adds to (``--label`` is ``labels``). So ``host`` is accepted as well as ``hosts``, and does nothing there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

Version = tuple[int, int]

NEWEST: Version = (29, 2)
"""The newest engine that the table knows. What a newer one accepts is not known from here."""


class Type(Enum):
    """What a setting's value is. ``ANY`` is not looked at."""

    SWITCH = "switch"
    NUMBER = "number"
    TEXT = "text"
    TEXTS = "texts"
    WORDS = "words"
    """names with a text each"""
    SWITCHES = "switches"
    """names with true or false each"""
    TABLE = "table"
    """names with anything"""
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Key:
    """A setting. ``since`` is the first version that knows it, ``until`` the first that no longer does; None: no
    bound.
    """

    type: Type
    since: Version | None = None
    until: Version | None = None

    def known_to(self, version: Version) -> bool:
        """Whether an engine of that version takes it."""
        return (self.since is None or version >= self.since) and (self.until is None or version < self.until)


def _keys(type: Type, names: str, since: Version | None = None, until: Version | None = None) -> dict[str, Key]:
    return {name: Key(type, since, until) for name in names.split()}


KEYS: dict[str, Key] = {
    **_keys(
        Type.SWITCH,
        "debug experimental icc init ip-forward ip-masq iptables ipv6 live-restore no-new-privileges "
        "raw-logs selinux-enabled tls tlsverify userland-proxy",
    ),
    **_keys(Type.SWITCH, "cri-containerd", (18, 9)),
    **_keys(Type.SWITCH, "rootless", (19, 3)),
    **_keys(Type.SWITCH, "ip6tables", (20, 10)),
    **_keys(Type.SWITCH, "ip-forward-no-drop", (28, 0)),
    **_keys(Type.SWITCH, "allow-direct-routing", (28, 2)),
    **_keys(Type.SWITCH, "disable-legacy-registry", None, (19, 3)),
    **_keys(
        Type.NUMBER,
        "cpu-rt-period cpu-rt-runtime max-concurrent-downloads max-concurrent-uploads mtu network-control-plane-mtu "
        "network-diagnostic-port shutdown-timeout",
    ),
    **_keys(Type.NUMBER, "max-download-attempts", (20, 10)),
    **_keys(Type.NUMBER, "oom-score-adjust", None, (26, 0)),
    **_keys(
        Type.TEXT,
        "bip bridge cgroup-parent containerd data-root default-gateway default-gateway-v6 default-ipc-mode "
        "default-runtime default-shm-size exec-root fixed-cidr fixed-cidr-v6 group init-path ip log-driver log-level "
        "metrics-addr pidfile seccomp-profile storage-driver swarm-default-advertise-addr tlscacert tlscert tlskey "
        "userland-proxy-path userns-remap",
    ),
    **_keys(Type.TEXT, "containerd-namespace containerd-plugins-namespace", (19, 3)),
    **_keys(Type.TEXT, "default-cgroupns-mode", (20, 10)),
    **_keys(Type.TEXT, "host-gateway-ip", (20, 10)),
    **_keys(Type.TEXT, "http-proxy https-proxy no-proxy", (23, 0)),
    **_keys(Type.TEXT, "log-format", (25, 0)),
    **_keys(Type.TEXT, "bip6", (28, 0)),
    **_keys(Type.TEXT, "bridge-accept-fwmark firewall-backend min-api-version", (29, 0)),
    **_keys(Type.TEXT, "api-cors-header", None, (28, 0)),
    **_keys(Type.TEXT, "graph", None, (23, 0)),
    **_keys(Type.TEXT, "cluster-advertise cluster-store", None, (24, 0)),
    **_keys(
        Type.TEXTS,
        "authorization-plugins dns dns-opts dns-search exec-opts hosts insecure-registries labels "
        "node-generic-resources registry-mirrors storage-opts",
    ),
    **_keys(Type.TEXTS, "allow-nondistributable-artifacts"),
    **_keys(Type.TEXTS, "cdi-spec-dirs", (25, 0)),
    **_keys(Type.TEXTS, "host-gateway-ips", (28, 0)),
    **_keys(Type.WORDS, "log-opts"),
    **_keys(Type.WORDS, "cluster-store-opts", None, (24, 0)),
    **_keys(Type.SWITCHES, "features", (18, 9)),
    **_keys(Type.TABLE, "runtimes default-ulimits"),
    **_keys(Type.TABLE, "builder", (18, 9)),
    **_keys(Type.TABLE, "default-network-opts", (24, 0)),
    # Accepted, without an effect that matters here, or of a form of their own.
    **_keys(Type.ANY, "deprecated-key-path"),
    **_keys(Type.ANY, "default-address-pool default-address-pools", (18, 9)),
    **_keys(
        Type.ANY,
        "add-runtime authorization-plugin config-file default-ulimit dns-opt exec-opt help host insecure-registry "
        "label log-opt node-generic-resource registry-mirror restart storage-opt version",
    ),
    **_keys(Type.ANY, "cluster-store-opt", None, (24, 0)),
    **_keys(Type.ANY, "validate", (23, 0)),
    **_keys(Type.ANY, "default-network-opt", (24, 0)),
    **_keys(Type.ANY, "cdi-spec-dir", (25, 0)),
    **_keys(Type.ANY, "feature", (27, 3)),
    **_keys(Type.ANY, "nri-opts", (29, 2)),
}

FLAT = frozenset(
    {
        "builder",
        "cluster-store-opts",
        "default-network-opts",
        "default-ulimits",
        "features",
        "log-opts",
        "nri-opts",
        "runtimes",
    }
)
"""Settings whose value is a whole. In any other value in braces, Docker takes each inner name for a setting:
``proxies`` is only a pair of braces around ``http-proxy``, and an unknown name in front of braces is not noticed.
"""

_PLURAL = {
    "add-runtime": "runtimes",
    "authorization-plugin": "authorization-plugins",
    "cdi-spec-dir": "cdi-spec-dirs",
    "cluster-store-opt": "cluster-store-opts",
    "default-address-pool": "default-address-pools",
    "default-network-opt": "default-network-opts",
    "default-ulimit": "default-ulimits",
    "dns-opt": "dns-opts",
    "exec-opt": "exec-opts",
    "feature": "features",
    "host": "hosts",
    "insecure-registry": "insecure-registries",
    "label": "labels",
    "log-opt": "log-opts",
    "node-generic-resource": "node-generic-resources",
    "registry-mirror": "registry-mirrors",
    "storage-opt": "storage-opts",
}
_SHORT = {
    "b": "bridge",
    "D": "debug",
    "g": "graph",
    "G": "group",
    "H": "host",
    "l": "log-level",
    "p": "pidfile",
    "s": "storage-driver",
}
_NO_VALUE = frozenset({"D", "v"})


def flags(argv: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The settings that a command line of dockerd gives, under their names in the file, with all values as written.

    ``-H fd://``, ``-Hfd://``, ``--host fd://`` and ``--host=fd://`` are all ``hosts``; a switch has the value "".
    """
    found: dict[str, list[str]] = {}
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            if not equals and _takes_value(name) and words:
                value = words.pop(0)
        elif word.startswith("-") and len(word) > 1:
            short, value = word[1], word[2:].removeprefix("=")
            name = _SHORT.get(short, short)
            if not value and short not in _NO_VALUE and words:
                value = words.pop(0)
        else:
            continue
        found.setdefault(_PLURAL.get(name, name), []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def _takes_value(name: str) -> bool:
    key = KEYS.get(_PLURAL.get(name, name))
    return not (key is not None and key.type is Type.SWITCH) and name not in ("help", "version", "validate")
