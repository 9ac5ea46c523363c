"""The engine's words, in the envelopes of many versions. The texts are those of real engines, shortened."""

from __future__ import annotations

import pytest

from wizard.model.engine_text import of_container, of_pull, unwrapped
from wizard.model.errors import Problem

OCI = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
SHIM = OCI + "unable to retrieve OCI runtime error (open /x/log.json: no such file or directory): "


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Unknown runtime specified nvidia", Problem.RUNTIME_UNKNOWN),
        ("docker: Error response from daemon: unknown or invalid runtime name: nvidia.", Problem.RUNTIME_UNKNOWN),
        ('could not select device driver "" with capabilities: [[gpu]]', Problem.GPU_DRIVER_NOT_SELECTED),
        (
            '{"message":"could not select device driver \\"\\" with capabilities: [[gpu]]"}\n',
            Problem.GPU_DRIVER_NOT_SELECTED,
        ),
        (
            "failed to discover GPU vendor from CDI: no known GPU vendor found",
            Problem.GPU_DRIVER_NOT_SELECTED,
        ),
        (
            (
                "OCI runtime create failed: container_linux.go:349: starting container process caused "
                '"process_linux.go:449: container init caused \\"process_linux.go:378: setting rlimits for ready '
                'process caused \\\\\\"error setting rlimit type 8: operation not permitted\\\\\\"\\"": unknown.'
            ),
            Problem.RLIMIT_REFUSED,
        ),
        (
            OCI + "runc create failed: error setting rlimits for ready process: error setting rlimit type 8: "
            "operation not permitted",
            Problem.RLIMIT_REFUSED,
        ),
        (
            (
                'Conflict. The container name "/wiz" is already in use by container "abc". You have to remove (or '
                "rename) that container to be able to reuse that name."
            ),
            Problem.NAME_TAKEN,
        ),
        ("Invalid container name (-bad), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", Problem.NAME_INVALID),
        (
            'invalid mount config for type "bind": bind source path does not exist: /no/such',
            Problem.BIND_SOURCE_MISSING,
        ),
        (
            SHIM + "fork/exec /usr/bin/nvidia-container-runtime: no such file or directory: unknown",
            Problem.RUNTIME_BROKEN,
        ),
        (SHIM + 'exec: "nvidia-container-runtime": executable file not found in $PATH', Problem.RUNTIME_BROKEN),
        (SHIM + "/opt/x did not terminate successfully: exit status 1: unknown", Problem.RUNTIME_BROKEN),
        ('exec: "nvidia-container-runtime-hook": executable file not found in $PATH', Problem.RUNTIME_BROKEN),
        (
            OCI + "runc create failed: unable to start container process: error during container init: error running "
            "prestart hook #0: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'\n"
            "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1",
            Problem.RUNTIME_BROKEN,
        ),
        (
            OCI + 'runc create failed: exec: "bash": executable file not found in $PATH: unknown',
            Problem.NOT_EXECUTABLE,
        ),
        (
            (
                "OCI runtime exec failed: exec failed: container_linux.go:349: starting container process caused "
                '"exec: \\"bash\\": executable file not found in $PATH": unknown'
            ),
            Problem.NOT_EXECUTABLE,
        ),
        (OCI + 'exec: "/etc/passwd": permission denied: unknown', Problem.NOT_EXECUTABLE),
        ("exec /bin/sh: exec format error", Problem.NOT_EXECUTABLE),
        ("No such image: nosuch/image:1", Problem.IMAGE_MISSING),
        ("No such container: x", Problem.CONTAINER_MISSING),
        ("Container 0123abc is not running", Problem.CONTAINER_NOT_RUNNING),
        ("Container 0123abc is paused, unpause the container before exec", Problem.CONTAINER_NOT_RUNNING),
        ("write /var/lib/docker/x: no space left on device", Problem.DISK_FULL),
        ("client version 1.52 is too new. Maximum supported API version is 1.43", Problem.ENGINE_TOO_OLD),
        ("the weather is fine", None),
    ],
)
def test_words_about_containers(text: str, kind: Problem | None) -> None:
    assert of_container(text) is kind


@pytest.mark.parametrize(
    ("text", "with_key", "without"),
    [
        ("manifest for h/x:1 not found: manifest unknown: manifest unknown", Problem.TAG_MISSING, None),
        ('failed to resolve reference "h/x:1": h/x:1: not found', Problem.TAG_MISSING, None),
        ('Head "http://h/v2/x/manifests/1": unauthorized', Problem.KEY_REFUSED, Problem.KEY_WANTED),
        ('Head "http://h/v2/x/manifests/1": no basic auth credentials', Problem.KEY_REFUSED, Problem.KEY_WANTED),
        (
            "pull access denied for h/x, repository does not exist or may require 'docker login': denied: no",
            Problem.ACCESS_DENIED,
            Problem.KEY_WANTED,
        ),
        ("toomanyrequests: You have reached your pull rate limit", Problem.RATE_LIMITED, None),
        ("received unexpected HTTP status: 502 Bad Gateway", Problem.REGISTRY_TROUBLE, None),
        (
            'unexpected status from HEAD request to http://h:5903/v2/x/manifests/1: 503 "x"',
            Problem.REGISTRY_TROUBLE,
            None,
        ),
        (
            'Get "https://h/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority',
            Problem.TLS,
            None,
        ),
        ('Get "https://h/v2/": http: server gave HTTP response to HTTPS client', Problem.REGISTRY_HTTP, None),
        ('Get "https://h/v2/": dial tcp: lookup h on 127.0.0.1:53: no such host', Problem.DNS, None),
        (
            'Get "https://h/v2/": dial tcp: lookup h on 127.0.0.1:53: read udp 1: read: connection refused',
            Problem.DNS,
            None,
        ),
        (
            'Get "https://h/v2/": proxyconnect tcp: dial tcp 127.0.0.1:9: connect: connection refused',
            Problem.PROXY,
            None,
        ),
        (
            'Get "http://h/v2/": dial tcp 127.0.0.1:5999: connect: connection refused',
            Problem.REGISTRY_UNREACHABLE,
            None,
        ),
        ('Get "https://h/v2/": net/http: TLS handshake timeout', Problem.REGISTRY_UNREACHABLE, None),
        ("unexpected EOF", Problem.REGISTRY_UNREACHABLE, None),
        ("filesystem layer verification failed for digest sha256:0", Problem.DIGEST_MISMATCH, None),
        ("failed to register layer: write /f: no space left on device", Problem.DISK_FULL, None),
        ("no matching manifest for linux/amd64 in the manifest list entries", Problem.PLATFORM_MISSING, None),
        ("received unexpected HTTP status: 412 Precondition Failed", Problem.LICENCE, None),
        ("the weather is fine", Problem.PULL_FAILED, None),
    ],
)
def test_words_about_pulls(text: str, with_key: Problem, without: Problem | None) -> None:
    assert of_pull(text, key_given=True) is with_key
    assert of_pull(text, key_given=False) is (without or with_key)


def test_the_envelopes_come_off() -> None:
    said = 'docker: Error response from daemon: exec: \\"x\\": gone: unknown.'
    assert unwrapped(said) == 'exec: "x": gone'
    assert unwrapped('{"message":"No such container: x"}') == "No such container: x"
    assert unwrapped("{no json") == "{no json"
