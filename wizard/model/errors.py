"""What can go wrong, as kinds: a closed list that the border to the outside world maps every failure to.

Adapters raise ``Trouble`` with a kind and the evidence, never a sentence for the user. The sentences
stand in ``wizard.services.words``, once for each kind.
"""

from __future__ import annotations

from enum import Enum

from wizard.model.finding import Evidence


class Problem(str, Enum):
    """Kinds of failure. The value is the stable id that is printed in JSON."""

    # commands and files of this machine
    COMMAND_MISSING = "command-missing"
    COMMAND_FAILED = "command-failed"
    COMMAND_TIMEOUT = "command-timeout"
    FILE_MISSING = "file-missing"
    FILE_PERMISSION = "file-permission"
    FILE_NOT_REGULAR = "file-not-regular"
    FILE_CHANGED = "file-changed"
    FILE_READ_ONLY = "file-read-only"
    DISK_FULL = "disk-full"
    ROOT_NEEDED = "root-needed"
    # the package manager
    PACKAGES_LOCKED = "packages-locked"
    PACKAGES_SOURCES = "packages-sources"
    """a list of package sources is wrong, or a source is not signed by the key that it should be"""
    PACKAGES_UNREACHABLE = "packages-unreachable"
    PACKAGES_BROKEN = "packages-broken"
    """an earlier installation was not finished, or packages do not fit together"""
    PACKAGES_CONFLICT = "packages-conflict"
    """what is installed would have to go for it"""
    PACKAGE_UNKNOWN = "package-unknown"
    # the Docker engine
    ENGINE_MISSING = "engine-missing"
    """no socket where the client looks"""
    ENGINE_REFUSED = "engine-refused"
    """a socket, but nobody listens"""
    ENGINE_PERMISSION = "engine-permission"
    ENGINE_TIMEOUT = "engine-timeout"
    ENGINE_LOST = "engine-lost"
    """the connection broke in the middle of a call"""
    ENGINE_ADDRESS = "engine-address"
    """DOCKER_HOST or the docker context names something that is no address"""
    ENGINE_TOO_OLD = "engine-too-old"
    ENGINE_OTHER = "engine-other"
    # containers
    RUNTIME_UNKNOWN = "runtime-unknown"
    RUNTIME_BROKEN = "runtime-broken"
    GPU_DRIVER_NOT_SELECTED = "gpus-no-driver"
    RLIMIT_REFUSED = "rlimit-not-permitted"
    NAME_TAKEN = "name-conflict"
    NAME_INVALID = "name-invalid"
    CONTAINER_MISSING = "container-missing"
    CONTAINER_NOT_RUNNING = "container-not-running"
    CONTAINER_EXITED = "container-exited"
    BIND_SOURCE_MISSING = "bind-source-missing"
    CONTAINER_RESTARTED = "container-restarted"
    """what ran in the container ended with it, and the container runs again"""
    NO_DATA_FOLDER = "no-data-folder"
    """the container has no /data, or it lies on another machine"""
    NO_SHELL = "no-shell"
    NOT_EXECUTABLE = "not-executable"
    IMAGE_MISSING = "image-missing-local"
    # GPU
    NVML_LIBRARY_MISSING = "nvml-library-missing"
    NVML_DRIVER_NOT_LOADED = "nvml-driver-not-loaded"
    NVML_VERSION_MISMATCH = "nvml-version-mismatch"
    NVML_PERMISSION = "nvml-permissions"
    NVML_BLOCKED = "nvml-blocked"
    NVML_GPU_LOST = "nvml-gpu-lost"
    NVML_OTHER = "nvml-other"
    # TensorFlow in the container
    TENSORFLOW_IMPORT = "tensorflow-import"
    TENSORFLOW_NO_GPU = "tensorflow-no-gpu"
    """TensorFlow works, but lists no GPU"""
    TENSORFLOW_TIMEOUT = "tensorflow-timeout"
    TENSORFLOW_FAILED = "tensorflow-failed"
    CUDA_MISMATCH = "cuda-803"
    """the parts of the driver do not have the same version"""
    CUDA_COMPAT = "cuda-804"
    """forward compatibility on a GPU that does not have it"""
    CUDA_DRIVER_OLD = "cuda-driver-old"
    GPU_CODE_MISSING = "gpu-no-kernel-image"
    """the image has no code for this GPU"""
    GPU_MEMORY = "gpu-out-of-memory"
    # the registry and the way to it
    IMAGE_NAME_INVALID = "image-ref-bad"
    TAG_MISSING = "manifest-unknown"
    KEY_WANTED = "key-wanted"
    """the registry wants credentials and none were given"""
    KEY_REFUSED = "unauthorized"
    ACCESS_DENIED = "pull-access-denied"
    LICENCE = "licence-not-accepted"
    BLOCKED = "image-blocked"
    """the registry gives the image to nobody here: it has to be paid for, or is not given to this country"""
    PLATFORM_MISSING = "no-matching-platform"
    RATE_LIMITED = "toomanyrequests"
    REGISTRY_TROUBLE = "registry-5xx"
    REGISTRY_UNREACHABLE = "registry-unreachable"
    REGISTRY_HTTP = "http-vs-https"
    REGISTRY_UNTRUSTED = "registry-untrusted"
    """the registry sends the key to a host that the user did not name"""
    DNS = "dns-failure"
    TLS = "x509"
    PROXY = "proxy-failure"
    CAPTIVE_PORTAL = "captive-portal"
    """somebody else answers in the registry's place, such as the login page of a guest network"""
    CLOCK = "clock-wrong"
    """the clock of this machine is so wrong that good certificates look bad"""
    PULL_FAILED = "pull-failed"
    ARCHIVE_BAD = "archive-bad"
    """a file that should hold an image cannot be used"""
    DIGEST_MISMATCH = "digest-mismatch"
    PULL_CUT_OFF = "pull-cut-off"
    """the process that downloaded has ended without a word"""
    # files from other servers
    DOWNLOAD_UNREACHABLE = "download-unreachable"
    DOWNLOAD_REFUSED = "download-refused"
    """the server does not give the file out, or gives something else"""
    DOWNLOAD_DAMAGED = "download-damaged"
    """what came is not what was published"""
    # recordings and their texts
    DISK_SMALL = "disk-small"
    """what was asked for would not fit; nothing was begun"""
    DATA_MISSING = "data-missing"
    """nothing that can be used is where it was looked for"""
    DATA_UNREADABLE = "data-unreadable"
    """recordings or texts that cannot be converted"""
    # keys and their stores
    STORE_MISSING = "key-store-missing"
    STORE_LOCKED = "key-store-locked"
    STORE_FAILED = "key-store-failed"
    KEY_SHAPE = "key-shape"
    # training
    CODE_UNUSABLE = "code-unusable"
    """what stands in the place of OpenSeq2Seq, or was named as it, is something else"""
    CODE_UNREACHABLE = "code-unreachable"
    DEPENDENCIES_MISSING = "dependencies-missing"
    """programs or packages of Python that the container lacks and that could not be installed"""
    CONFIG_UNUSABLE = "config-unusable"
    """a configuration that is not there, does not parse, or is none"""
    OPTION_UNUSABLE = "option-unusable"
    """an option that run.py would not take"""
    TRAINING_DATA = "training-data"
    """the data that the configuration names is not there or cannot be used"""
    TRAINING_RUNS = "training-runs"
    """another training runs on the same GPU"""
    TRAINING_FAILED = "training-failed"
    NO_CHECKPOINT = "no-checkpoint"
    BOARD_MISSING = "tensorboard-missing"
    BOARD_FAILED = "tensorboard-failed"
    BOARD_UNREACHABLE = "tensorboard-unreachable"
    """it runs in the container, and this machine does not reach the container's network"""
    PORT_TAKEN = "port-taken"
    # the user's side
    BAD_INPUT = "bad-input"
    NO_TERMINAL = "no-terminal"
    CANCELLED = "cancelled"
    BUSY = "busy"
    """another wizard is changing this machine"""
    UNSCRIPTED = "unscripted"
    """a simulated machine was asked something that its file does not answer"""
    INTERNAL = "internal"


NETWORK = frozenset(
    {
        Problem.TAG_MISSING,
        Problem.KEY_WANTED,
        Problem.KEY_REFUSED,
        Problem.ACCESS_DENIED,
        Problem.LICENCE,
        Problem.BLOCKED,
        Problem.PLATFORM_MISSING,
        Problem.RATE_LIMITED,
        Problem.REGISTRY_TROUBLE,
        Problem.REGISTRY_UNREACHABLE,
        Problem.REGISTRY_HTTP,
        Problem.REGISTRY_UNTRUSTED,
        Problem.DNS,
        Problem.TLS,
        Problem.PROXY,
        Problem.CAPTIVE_PORTAL,
        Problem.CLOCK,
        Problem.PULL_FAILED,
        Problem.PACKAGES_UNREACHABLE,
        Problem.CODE_UNREACHABLE,
        Problem.DOWNLOAD_UNREACHABLE,
        Problem.DOWNLOAD_REFUSED,
    }
)
"""Kinds that end a command with exit code 5: network, registry or authentication."""

UNREACHABLE = frozenset(
    {
        Problem.REGISTRY_UNREACHABLE,
        Problem.REGISTRY_TROUBLE,
        Problem.REGISTRY_HTTP,
        Problem.DNS,
        Problem.TLS,
        Problem.PROXY,
    }
)
"""Kinds that say nothing about an image: only this program could not ask its registry. Docker has a network of its own
(a proxy, certificates, insecure registries) and may succeed.
"""

USAGE = frozenset(
    {
        Problem.BAD_INPUT,
        Problem.ARCHIVE_BAD,
        Problem.IMAGE_NAME_INVALID,
        Problem.NAME_INVALID,
        Problem.KEY_SHAPE,
        Problem.NO_TERMINAL,
        Problem.CODE_UNUSABLE,
        Problem.CONFIG_UNUSABLE,
        Problem.OPTION_UNUSABLE,
    }
)
"""Kinds that end a command with exit code 2: what the user gave cannot be used."""

PERSON = frozenset(
    {
        Problem.ROOT_NEEDED,
        Problem.NAME_TAKEN,
        Problem.STORE_LOCKED,
        Problem.STORE_MISSING,
        Problem.BUSY,
        Problem.TRAINING_DATA,
        Problem.TRAINING_RUNS,
    }
)
"""Kinds that end a command with exit code 3: a person has to decide or to do something."""


class Trouble(Exception):
    """A failure whose kind is known.

    ``subject`` is what it is about (a path, an image, a container's name), ``text`` what the other side
    said, word for word, ``evidence`` what else was seen. ``hint`` is one more sentence for the user, already
    translated, where the place that raises knows more than the kind says.
    """

    def __init__(
        self,
        kind: Problem,
        text: str = "",
        *,
        subject: str = "",
        hint: str = "",
        evidence: tuple[Evidence, ...] = (),
    ) -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.text = text
        self.subject = subject
        self.hint = hint
        self.evidence = evidence

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.text}" if self.text else self.kind.value


def exit_code(kind: Problem) -> int:
    """The exit code of a command that ended with ``kind``, by the command-line contract."""
    if kind is Problem.CANCELLED:
        return 130
    if kind in NETWORK:
        return 5
    if kind in USAGE:
        return 2
    if kind in PERSON:
        return 3
    return 4
