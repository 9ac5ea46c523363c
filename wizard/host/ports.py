"""The ports: everything that a service may ask of a machine, real or simulated.

Every method raises ``Trouble`` with a typed kind and nothing else. Methods block; those that can take long
accept a ``Cancel``. Byte counts are bytes, times are seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

if TYPE_CHECKING:
    from wizard.model.container import ContainerInfo, ContainerSpec
    from wizard.model.disk_usage import DiskUsage
    from wizard.model.engine import DaemonProcess, Endpoint, EngineInfo, ExecResult, ImageInfo
    from wizard.model.event import Cancel
    from wizard.model.gpu import GpuReading, GpuReport
    from wizard.model.image import ImageReference, Manifest
    from wizard.model.key_store import KeyFacts, KeyPlace, KeyStoreInfo
    from wizard.model.machine import (
        CommandResult,
        DiskSpace,
        FileContent,
        HostInfo,
        PathInfo,
        ProcessId,
        Reached,
        RootAccess,
    )
    from wizard.model.secret import Secret


class Commands(Protocol):
    """Runs programs of the machine, without a shell and without the API key in their environment."""

    def which(self, name: str) -> str | None:
        """The absolute path of a program, looked up in PATH and in the sbin folders; None if it is not there."""

    def run(
        self,
        argv: tuple[str, ...],
        *,
        root: bool = False,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Runs ``argv`` to its end; any exit status is a result, not an error.

        With ``root`` it is run as root, through ``sudo -n`` where this process is not root. ``env`` is added to the
        environment. ``on_line`` is called with every line, of standard output and of standard error, while the program
        runs; the result still holds all of them. A program that is followed so is one that changes the machine: Ctrl-C
        does not reach it, and it goes on to its end when this process dies. Raises ``COMMAND_MISSING``,
        ``COMMAND_TIMEOUT``, or ``ROOT_NEEDED`` when sudo wants a password.
        """


class Privilege(Protocol):
    """Whether commands can be run as root, and what the user would type to allow it."""

    def access(self) -> RootAccess:
        """How things stand now. Asks ``sudo -n true``; never prompts."""

    def ask_argv(self) -> tuple[str, ...]:
        """The program that asks for the password on the user's own terminal: ``sudo -v``."""

    def as_typed(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """``argv`` as a person would type it to run it as root."""


class Files(Protocol):
    """Files of the machine. With ``root``, what this user may not do is done through ``Commands`` as root."""

    def info(self, path: str) -> PathInfo:
        """What stands at ``path``. A path that may not be looked at raises ``FILE_PERMISSION``."""

    def read(self, path: str, *, root: bool = False) -> FileContent | None:
        """The whole file, or None where there is none.

        Raises ``FILE_PERMISSION``, or ``FILE_NOT_REGULAR`` for a folder or a device.
        """

    def replace(
        self, path: str, before: bytes | None, after: bytes | None, *, mode: int = 0o644, root: bool = False
    ) -> None:
        """Gives the file the content ``after`` in one step that a crash cannot halve, or removes it (None).

        Symbolic links are followed, mode and owner are kept, missing parent folders are made. Raises
        ``FILE_CHANGED`` when
        the file does not hold ``before``, ``FILE_READ_ONLY``, ``FILE_PERMISSION``, ``DISK_FULL``, ``ROOT_NEEDED``.
        """

    def after(self, path: str, offset: int, limit: int) -> bytes:
        """Up to ``limit`` bytes of a file that grows, from ``offset`` on; none where it is not longer, or not there.

        Raises ``FILE_PERMISSION``, or ``FILE_NOT_REGULAR`` for a folder or a device.
        """

    def remove(self, path: str) -> None:
        """Removes a file or a link, whatever it holds; one that is gone is fine. Raises ``FILE_PERMISSION``,
        ``FILE_NOT_REGULAR`` for a folder, ``FILE_READ_ONLY``.
        """

    def names(self, folder: str) -> tuple[str, ...]:
        """The names in a folder, sorted; none where there is no such folder. Raises ``FILE_PERMISSION``."""

    def link(self, path: str) -> str | None:
        """What a symbolic link says, as it stands there; None where there is no link. Raises ``FILE_PERMISSION``."""

    def make_folder(self, path: str) -> None:
        """Makes a folder and its parents. What root makes in somebody's folder, files too, belongs to that person.

        Raises ``FILE_PERMISSION``, ``FILE_NOT_REGULAR``, ``DISK_FULL``.
        """

    def open(self, path: str, *, unpack: bool = False) -> BinaryIO:
        """A file for reading, however large. With ``unpack``, what is packed with gzip or zstd is unpacked while it is
        read (then only forwards).

        Raises ``FILE_MISSING``, ``FILE_PERMISSION``, ``FILE_NOT_REGULAR``; reading with ``unpack`` raises
        ``ARCHIVE_BAD``.
        """

    def disk(self, path: str) -> DiskSpace:
        """Space where ``path`` lies or would lie. Raises ``FILE_PERMISSION``."""


class ExecSession(Protocol):
    """A running command in a container whose input and output are connected to a socket.

    With a terminal, output is one stream; without, ``read`` gives (1 or 2, bytes) for stdout and stderr.
    """

    tty: bool

    def fileno(self) -> int:
        """For ``select``."""

    def read(self) -> tuple[int, bytes] | None:
        """The next piece of output: the stream's number and its bytes; None at the end."""

    def write(self, data: bytes) -> None:
        """Sends input."""

    def close_input(self) -> None:
        """Tells the command that there is no more input."""

    def resize(self, columns: int, rows: int) -> None:
        """Tells the command the size of the terminal."""

    def exit_code(self) -> int:
        """Waits for the end and returns the command's exit status. Raises ``ENGINE_LOST``."""

    def close(self) -> None:
        """Closes the connection; the command itself is not ended by it."""


class Engine(Protocol):
    """The Docker engine that the user's own ``docker`` command would talk to.

    Every method may raise ``ENGINE_MISSING``, ``ENGINE_REFUSED``, ``ENGINE_PERMISSION``, ``ENGINE_TIMEOUT``,
    ``ENGINE_LOST``, ``ENGINE_ADDRESS``, ``ENGINE_TOO_OLD`` or ``ENGINE_OTHER``. A probe never takes more than five
    seconds.
    """

    def endpoint(self) -> Endpoint:
        """Where the daemon is looked for; asks nothing of it. Raises ``ENGINE_ADDRESS``."""

    def ping(self) -> None:
        """Returns when the daemon answers."""

    def info(self) -> EngineInfo:
        """The daemon's version and settings."""

    def daemon(self) -> DaemonProcess | None:
        """The daemon's process on this machine; None where it cannot be told (a remote daemon, another pid
        namespace).
        """

    def image(self, reference: str) -> ImageInfo | None:
        """The image of that name or id, or None."""

    def images(self) -> tuple[ImageInfo, ...]:
        """The images that have a name; their architecture, command and entry point are not told here."""

    def disk_usage(self) -> DiskUsage:
        """What the engine keeps, with sizes. It has to look at everything, so this may take a minute."""

    def pull(self, reference: ImageReference, key: Secret | None, cancel: Cancel) -> Iterator[dict[str, Any]]:
        """Starts a pull and yields the engine's messages as they are, including ``{"error": …}``.

        With ``key`` it is sent as the password of ``$oauthtoken`` with this one request; without, the pull is
        anonymous
        whatever the user's Docker configuration says. Setting ``cancel`` ends the pull and raises ``CANCELLED``. A
        refusal before
        the first message raises ``TAG_MISSING``, ``KEY_WANTED``, ``KEY_REFUSED``, ``ACCESS_DENIED``,
        ``REGISTRY_…``, ``DNS``, ``TLS``, ``PULL_FAILED``.
        """

    def load(self, archive: Iterable[bytes], cancel: Cancel) -> Iterator[dict[str, Any]]:
        """Gives the engine an archive of images and yields its messages as they are, including ``{"error": …}``.

        The archive is read while it is sent; what reading it raises ends the load, and is raised here. Setting
        ``cancel`` ends it too and raises ``CANCELLED``.
        """

    def remove_image(self, name: str) -> None:
        """Takes a name away, and with an image's last name the image and the layers that no other has; one that is not
        there is fine. Raises ``ENGINE_OTHER`` while a container needs the image.
        """

    def containers(self, *, all: bool = False) -> tuple[ContainerInfo, ...]:
        """The running containers, or all of them."""

    def container(self, name: str) -> ContainerInfo | None:
        """The container with that name or id, or None."""

    def create(self, spec: ContainerSpec) -> str:
        """Creates a container and returns its id.

        Raises ``NAME_TAKEN``, ``IMAGE_MISSING``, ``RUNTIME_UNKNOWN``, ``BIND_SOURCE_MISSING``, ``BAD_INPUT``.
        """

    def start(self, container_id: str) -> None:
        """Raises ``RLIMIT_REFUSED``, ``GPU_DRIVER_NOT_SELECTED``, ``RUNTIME_UNKNOWN``, ``RUNTIME_BROKEN``,
        ``NOT_EXECUTABLE``, ``CONTAINER_MISSING``.
        """

    def stop(self, container_id: str, timeout: float = 10.0) -> None:
        """Stops a container; one that has stopped already is fine."""

    def remove(self, container_id: str, *, force: bool = False) -> None:
        """Removes a container; one that is gone already is fine."""

    def logs(self, container_id: str, lines: int = 20) -> str:
        """The last lines of what a container printed."""

    def run_in(self, container_id: str, argv: tuple[str, ...], *, timeout: float = 30.0) -> ExecResult:
        """Runs a command in a running container to its end, without input.

        Raises ``CONTAINER_NOT_RUNNING``, ``CONTAINER_MISSING``, ``COMMAND_TIMEOUT``. A program that does not exist
        is exit status 126 or 127.
        """

    def open_exec(
        self,
        container_id: str,
        argv: tuple[str, ...],
        *,
        tty: bool,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] | None = None,
    ) -> ExecSession:
        """Starts a command in a running container, connected to the caller. ``size`` is (columns, rows)."""

    def close(self) -> None:
        """Lets go of the connection. It is opened again when needed."""


class Gpus(Protocol):
    """The NVIDIA driver, through NVML."""

    def report(self) -> GpuReport:
        """Driver and GPUs. Raises ``NVML_LIBRARY_MISSING``, ``NVML_DRIVER_NOT_LOADED``, ``NVML_VERSION_MISMATCH``,
        ``NVML_PERMISSION``, ``NVML_BLOCKED``, ``NVML_GPU_LOST``, ``NVML_OTHER``.
        """

    def readings(self) -> tuple[GpuReading, ...]:
        """What the GPUs do now, cheap enough to be asked every second; may be called from any thread. Raises nothing:
        a GPU that does not answer is left out, and without a driver that answers there are none.
        """


class Registry(Protocol):
    """An image registry, asked directly."""

    def manifest(self, reference: ImageReference, key: Secret | None, arch: str = "amd64") -> Manifest:
        """The image's manifest for linux on ``arch``: tried without a key first, with ``key`` only when the
        registry wants one.

        Raises ``TAG_MISSING``, ``KEY_WANTED``, ``KEY_REFUSED``, ``ACCESS_DENIED``, ``LICENCE``, ``BLOCKED``,
        ``PLATFORM_MISSING``, ``RATE_LIMITED``, ``REGISTRY_TROUBLE``, ``REGISTRY_UNREACHABLE``, ``REGISTRY_HTTP``,
        ``REGISTRY_UNTRUSTED``, ``CAPTIVE_PORTAL``, ``DNS``, ``TLS``, ``PROXY``.
        """

    def about_key(self, key: Secret) -> KeyFacts | None:
        """What NVIDIA says about a key, whatever it is wanted for; None for one that is not of NVIDIA's making, which
        is sent nowhere.

        Raises ``KEY_REFUSED`` when it is wrong, expired or revoked; anything else (as ``manifest``) says nothing about
        the key.
        """

    def reach(self, host: str, proxy: str | None = None) -> Reached:
        """Knocks at the registry's front door, without a key, and returns within five seconds.

        ``proxy`` is the proxy to go through, "" for none; None goes as every request of this program does, by the
        environment. Raises ``DNS``, ``TLS``, ``PROXY``, ``REGISTRY_HTTP``, ``REGISTRY_UNREACHABLE``.
        """

    def clock(self, host: str) -> float | None:
        """The time by the registry's answer, in seconds since 1970, whoever signed its certificate: a wrong clock makes
        good certificates look bad. None where it cannot be had within five seconds.
        """

    def takes_key(self, host: str) -> bool:
        """Whether the NGC key may be sent to this registry: NVIDIA's own, or one that the user named in the
        configuration.
        """

    def blobs(self, reference: ImageReference, key: Secret | None) -> BlobSource:
        """A conversation about the parts of this image. Nothing is asked before the first of them is opened."""


class BlobStream(Protocol):
    """A part of an image, as it comes from a registry."""

    first: int
    """the offset of the first byte that comes: what was asked for, or 0 from a server that knows no ranges"""
    end: int
    """the offset behind the last byte that comes; the size of the whole from such a server"""

    def read(self) -> bytes:
        """The next bytes, as soon as there are some; none at the end. Raises the kinds of ``Registry.manifest`` that
        speak of the way; ``REGISTRY_UNREACHABLE`` also for an end that comes too early.
        """

    def shut(self) -> None:
        """Ends its connection, and a read that waits for it. May be called from any thread; the reader closes it."""

    def close(self) -> None:
        """Lets go of it. For the thread that reads."""


class BlobSource(Protocol):
    """The parts (layers and configuration) of one image in its registry. Usable from several threads at once, each
    with a connection of its own.
    """

    def open(self, digest: str, size: int, first: int, end: int) -> BlobStream:
        """Asks for the bytes from ``first`` up to ``end`` (exclusive) of a part that has ``size`` bytes.

        Without a key first; an expired token is fetched anew from the beginning; a redirect to another host does not
        get the token. Raises as ``Registry.manifest`` does.
        """

    def close(self) -> None:
        """Ends every connection."""


class CachedBlob(Protocol):
    """One part of an image on this machine's disk, whole or not. What counts as here survives the end of the program,
    however that ends. Usable from several threads, as long as each chunk is written by one at a time, from its
    beginning on.
    """

    digest: str
    size: int
    chunk: int
    """bytes of every chunk but the last"""

    @property
    def complete(self) -> bool:
        """Whether all of it is here and was compared with its digest."""

    @property
    def ready(self) -> int:
        """The bytes from the beginning on that are here without a gap, and in the sum that ``verify`` compares."""

    def missing(self) -> tuple[int, ...]:
        """The numbers of the chunks that are not here."""

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Writes bytes of one chunk. Raises ``DISK_FULL``, ``FILE_PERMISSION``, ``FILE_READ_ONLY``."""

    def commit(self, number: int) -> None:
        """The chunk is whole: from now on it counts. Raises as ``write`` does."""

    def save(self) -> None:
        """Makes what counts as here survive a power cut. Raises as ``write`` does."""

    def chunk_bytes(self, number: int) -> bytes:
        """What the disk has of a chunk."""

    def damaged(self) -> tuple[int, ...]:
        """The chunks that no longer hold what was written to them."""

    def forget(self, numbers: tuple[int, ...]) -> None:
        """These chunks are missing again."""

    def verify(self) -> bool:
        """Compares the whole with its digest; if that is right, the blob is complete from now on."""

    def read(self, offset: int) -> bytes:
        """A piece of what is ready, from ``offset`` on; nothing where that is not ready yet."""

    def close(self) -> None:
        """Lets go of the file."""


class BlobCache(Protocol):
    """The parts of images that were downloaded and are not in the engine yet, under their digests."""

    def folder(self) -> str:
        """Where it lies."""

    def lock(self) -> AbstractContextManager[None]:
        """The right to write and to empty it, against other processes. Ends with the process, however that ends.

        Raises ``BUSY`` with the other's pid as the subject.
        """

    def usage(self) -> int:
        """Bytes that it takes on the disk."""

    def here(self, digest: str, size: int) -> int:
        """Bytes of this part that need not be fetched."""

    def open(self, digest: str, size: int) -> CachedBlob:
        """The part, made where there is nothing of it. Raises ``DISK_FULL``, ``FILE_PERMISSION``,
        ``FILE_READ_ONLY``.
        """

    def remove(self, digests: tuple[str, ...] | None = None) -> int:
        """Removes these parts, or all; the bytes that this gave back."""

    def recheck(self, digests: tuple[str, ...]) -> tuple[str, ...]:
        """Compares those of these parts that are complete with their digests once more. Those that the disk has changed
        since are removed and returned.
        """


class Downloads(Protocol):
    """Large files from a web server, without a key."""

    def fetch(
        self, url: str, path: str, *, size: int, md5: str, progress: Callable[[int], None], cancel: Cancel
    ) -> None:
        """Brings the file at ``url`` to ``path``, and goes on where an earlier attempt stopped.

        What has come so far stands in ``path`` + ``.part``. The file gets its name when it has ``size`` bytes and the
        sum ``md5`` ("": only the size is compared), and a file that has the name is compared before it is taken for the
        right one. ``progress`` is told how many bytes are here, again and again. A connection that breaks or falls
        silent is made again for some minutes before it is given up.

        Raises ``DOWNLOAD_UNREACHABLE``, ``DOWNLOAD_REFUSED``, ``DOWNLOAD_DAMAGED``, ``DNS``, ``TLS``, ``PROXY``,
        ``BUSY`` when another process fetches the same file, ``DISK_FULL``, ``FILE_PERMISSION``, ``FILE_READ_ONLY``,
        ``CANCELLED``.
        """

    def knock(self, url: str) -> int | None:
        """The HTTP status with which a server on this machine or in one of its containers answers; None where none does
        within two seconds. No proxy is asked. Raises nothing.
        """


class KeyStore(Protocol):
    """Where the API key lies. No method takes longer than five seconds or prompts on the terminal."""

    def places(self) -> tuple[KeyStoreInfo, ...]:
        """Every place, in the order in which a key is looked for."""

    def get(self) -> tuple[Secret, KeyPlace] | None:
        """The first key that is found, and where."""

    def save(self, key: Secret, place: KeyPlace) -> None:
        """Keeps the key and reads it back. Raises ``STORE_MISSING``, ``STORE_LOCKED``, ``STORE_FAILED``,
        ``DISK_FULL``, ``FILE_PERMISSION``.
        """

    def forget(self) -> tuple[KeyPlace, ...]:
        """Removes the key wherever this program put it; the places that held one."""


class Terminal(Protocol):
    """The user's own terminal, when no full-screen application uses it."""

    def is_interactive(self) -> bool:
        """Whether standard input and output are a terminal."""

    def size(self) -> tuple[int, int]:
        """Columns and rows."""

    def run(self, argv: tuple[str, ...]) -> int:
        """Runs a program that talks to the user; its exit status. Raises ``NO_TERMINAL``, ``COMMAND_MISSING``."""

    def attach(self, session: ExecSession) -> int:
        """Connects the terminal (or standard input and output where there is none) to a command until it ends.

        Returns its exit status. The terminal is as it was before, whatever happens. Raises ``ENGINE_LOST``.
        """


class Store(Protocol):
    """The program's own small files (receipts, the resume point), private to the user."""

    def read(self, name: str) -> bytes | None:
        """The file ``name`` (it may have folders, with slashes), or None."""

    def write(self, name: str, data: bytes) -> None:
        """Writes the whole file in one step. Raises ``DISK_FULL``, ``FILE_PERMISSION``, ``FILE_READ_ONLY``."""

    def append(self, name: str, data: bytes) -> None:
        """Adds to the end of the file, at once but without waiting for the disk. Raises as ``write`` does."""

    def read_on(self, name: str, start: int) -> bytes | None:
        """What stands in the file from the byte ``start`` on, or None where there is no such file."""

    def remove(self, name: str) -> None:
        """Removes the file; one that is gone is fine."""

    def names(self, folder: str) -> tuple[str, ...]:
        """The names of the files in a folder, sorted."""

    def path(self, name: str) -> str:
        """Where ``name`` lies, for people."""

    def lock(self, name: str = "lock") -> AbstractContextManager[None]:
        """Holds a right against other processes of this user; may be nested in one process. The usual one is the right
        to change the machine.

        A process that ends, however it does, lets go of it. Raises ``BUSY`` with the other's pid as the subject.
        """

    def locked_by(self) -> int | None:
        """The pid of another process that holds the usual lock; None where none does. Waits for nobody."""


class Background(Protocol):
    """Work of this program that goes on when the program that began it has ended or lost its terminal."""

    lasting: bool
    """whether it really does; on a simulated machine, all ends with the program"""

    def start(self, request: Mapping[str, str], key: Secret | None) -> None:
        """Begins what ``request`` says, in a process of its own; returns when that process has the work in hand, or has
        seen that another one has.

        The key goes to it through a pipe. Raises what kept it from beginning, ``COMMAND_FAILED`` or
        ``COMMAND_TIMEOUT``.
        """

    def this(self) -> ProcessId:
        """The process that asks."""

    def runs(self, process: ProcessId) -> bool:
        """Whether that very process still runs; a later one of the same number is another."""


@dataclass(frozen=True, slots=True)
class Host:
    """A machine: its ports, and who it is. Handed to every service."""

    info: HostInfo
    commands: Commands
    privilege: Privilege
    files: Files
    engine: Engine
    gpus: Gpus
    registry: Registry
    downloads: Downloads
    keys: KeyStore
    terminal: Terminal
    store: Store
    background: Background
    cache: BlobCache
    home: str
    """the user's home folder"""
    environ: Mapping[str, str]
    """the environment without secrets"""
    packages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """mirrors that the user has set for a vendor's packages: ``nvidia`` -> ``url``, ``key``, ``fingerprint``"""
