"""The files of a simulated machine: a tree in memory that knows owners, modes, links and full disks."""

from __future__ import annotations

import errno
import os
import posixpath
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, TypeVar

from wizard.demo.spec import Disk, File, Spec
from wizard.model.errors import Problem, Trouble
from wizard.model.machine import DiskSpace, FileContent, PathInfo, PathKind

_KINDS = {
    "file": PathKind.FILE,
    "directory": PathKind.DIRECTORY,
    "socket": PathKind.SOCKET,
    "device": PathKind.OTHER,
}
_READ, _WRITE, _SEARCH = 4, 2, 1
_MAX_LINKS = 40
_T = TypeVar("_T")


@dataclass(slots=True)
class Node:
    """What stands at one path."""

    kind: PathKind
    mode: int
    uid: int = 0
    gid: int = 0
    data: bytes = b""
    link: str = ""
    changed: float = 0.0
    length: int = 0
    """the bytes of a large file whose content nobody looks at"""

    @property
    def size(self) -> int:
        return self.length or len(self.data)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks."""

    uid: int
    gid: int
    gids: frozenset[int]

    def may(self, node: Node, want: int) -> bool:
        """Whether the permission bits of ``node`` let this one in; root is always let in."""
        if self.uid == 0:
            return want != _SEARCH or node.kind is PathKind.DIRECTORY or bool(node.mode & 0o111)
        shift = 6 if node.uid == self.uid else 3 if node.gid in self.gids else 0
        return bool(node.mode >> shift & want)


ROOT = Identity(0, 0, frozenset({0}))


class Tree:
    """All files. Every method takes who asks; paths are absolute."""

    def __init__(self, disks: dict[str, Disk]) -> None:
        self.nodes: dict[str, Node] = {"/": Node(PathKind.DIRECTORY, 0o755)}
        self._disks = disks
        self._used = dict.fromkeys(disks, 0)

    @classmethod
    def build(cls, spec: Spec) -> Tree:
        """The tree that a machine's file describes: its programs, its files, the user's home."""
        tree = cls(dict(spec.disks))
        tree.plant("/tmp", Node(PathKind.DIRECTORY, 0o1777))  # noqa: S108 - of the simulated machine
        user = spec.user
        tree.plant(user.home, Node(PathKind.DIRECTORY, 0o750, user.uid, user.gid))
        for path in (path for path, there in spec.programs.items() if there):
            tree.plant(path, Node(PathKind.FILE, 0o755, data=b"#!simulated\n"))
        for path, file in spec.files.items():
            if not file.absent:
                tree.plant(path, node_of(file))
        return tree

    def plant(self, path: str, node: Node) -> None:
        """Puts a node at a path, with the folders above it that are not there yet."""
        above = posixpath.dirname(path)
        while above not in self.nodes:
            self.nodes[above] = Node(PathKind.DIRECTORY, 0o755)
            above = posixpath.dirname(above)
        self.nodes[path] = node

    def leave(self, files: Mapping[str, File]) -> None:
        """Puts files where a command leaves them, and takes those away that are ``absent`` afterwards."""
        for path, file in files.items():
            if file.absent:
                self.nodes.pop(path, None)
            else:
                self.plant(path, node_of(file))

    def follow(self, path: str, who: Identity) -> str:
        """``path`` with its symbolic links followed, whether it exists or not.

        Raises ``FILE_PERMISSION`` where a folder on the way may not be searched, ``FILE_NOT_REGULAR`` where
        something on the way is no folder.
        """
        if not path.startswith("/"):
            raise Trouble(Problem.INTERNAL, "a path of a machine is absolute", subject=path)
        todo = [part for part in reversed(path.split("/")) if part]
        here = "/"
        links = 0
        while todo:
            part = todo.pop()
            if part == ".":
                continue
            node = self.nodes.get(here)
            if node is not None and node.kind is not PathKind.DIRECTORY:
                raise Trouble(Problem.FILE_NOT_REGULAR, os.strerror(errno.ENOTDIR), subject=path)
            if node is not None and not who.may(node, _SEARCH):
                raise Trouble(Problem.FILE_PERMISSION, os.strerror(errno.EACCES), subject=path)
            step = posixpath.dirname(here) if part == ".." else posixpath.join(here, part)
            found = self.nodes.get(step)
            if found is None or not found.link:
                here = step
                continue
            links += 1
            if links > _MAX_LINKS:
                raise Trouble(Problem.FILE_NOT_REGULAR, os.strerror(errno.ELOOP), subject=path)
            todo.extend(part for part in reversed(found.link.split("/")) if part)
            if found.link.startswith("/"):
                here = "/"
        return here

    def at(self, path: str, who: Identity = ROOT) -> Node | None:
        """What stands at a path, links followed; None where there is nothing."""
        return self.nodes.get(self.follow(path, who))

    def may_write(self, path: str, who: Identity) -> None:
        """Raises what stops ``who`` from writing at ``path``: a read-only disk, or the folder's permission."""
        if self._disks[self._mount(path)].read_only:
            raise Trouble(Problem.FILE_READ_ONLY, os.strerror(errno.EROFS), subject=path)
        above = posixpath.dirname(path)
        while above not in self.nodes:
            above = posixpath.dirname(above)
        folder = self.nodes[above]
        if folder.kind is not PathKind.DIRECTORY:
            raise Trouble(Problem.FILE_NOT_REGULAR, os.strerror(errno.ENOTDIR), subject=path)
        if not who.may(folder, _WRITE):
            raise Trouble(Problem.FILE_PERMISSION, os.strerror(errno.EACCES), subject=path)

    def space(self, path: str) -> DiskSpace:
        """The disk that holds a path."""
        mount = self._mount(path)
        disk = self._disks[mount]
        return DiskSpace(
            path,
            disk.total,
            max(0, disk.free - self._used[mount]),
            disk.files,
            disk.files_free,
            tuple(self._disks).index(mount),
        )

    def use(self, path: str, count: int) -> None:
        """Takes ``count`` bytes of the disk that holds a path, or gives them back (below 0). Raises ``DISK_FULL``."""
        if count > self.space(path).free:
            raise Trouble(Problem.DISK_FULL, os.strerror(errno.ENOSPC), subject=path)
        self._used[self._mount(path)] += count

    def _mount(self, path: str) -> str:
        here = path
        while here not in self._disks:
            here = posixpath.dirname(here)
        return here


def node_of(file: File) -> Node:
    """A node as a machine's file describes it."""
    return Node(_KINDS[file.kind], file.mode, file.owner, file.group, file.text.encode(), file.link, file.changed)


class SimFiles:
    """``Files`` over a tree. ``can_root`` tells whether root is to be had without a password now."""

    def __init__(self, tree: Tree, user: Identity, can_root: Callable[[], bool]) -> None:
        self._tree = tree
        self._user = user
        self._can_root = can_root
        self._lock = threading.Lock()

    def info(self, path: str) -> PathInfo:
        try:
            node = self._tree.at(path, self._user)
        except Trouble as trouble:
            if trouble.kind is Problem.FILE_PERMISSION:
                raise
            kind = PathKind.OTHER if trouble.text == os.strerror(errno.ELOOP) else PathKind.MISSING
            return PathInfo(path, kind)
        if node is None:
            return PathInfo(path, PathKind.MISSING)
        read, write, execute = (self._user.may(node, want) for want in (_READ, _WRITE, _SEARCH))
        size = node.size if node.kind is PathKind.FILE else 0
        return PathInfo(path, node.kind, read, write, execute, node.changed, size)

    def read(self, path: str, *, root: bool = False) -> FileContent | None:
        return self._as(root, lambda who: self._read(path, who))

    def replace(
        self, path: str, before: bytes | None, after: bytes | None, *, mode: int = 0o644, root: bool = False
    ) -> None:
        with self._lock:
            self._as(root, lambda who: self._replace(path, before, after, mode, who))

    def after(self, path: str, offset: int, limit: int) -> bytes:
        try:
            found = self._read(path, self._user)
        except Trouble as trouble:
            if trouble.text == os.strerror(errno.ENOTDIR):
                return b""
            raise
        return found.data[offset : offset + limit] if found is not None else b""

    def remove(self, path: str) -> None:
        with self._lock:
            real = self._tree.follow(posixpath.dirname(path), self._user)
            real = posixpath.join(real, posixpath.basename(path))
            node = self._tree.nodes.get(real)
            if node is None:
                return
            if node.kind is PathKind.DIRECTORY and not node.link:
                raise Trouble(Problem.FILE_NOT_REGULAR, os.strerror(errno.EISDIR), subject=path)
            self._tree.may_write(real, self._user)
            self._tree.use(real, -node.size)
            del self._tree.nodes[real]

    def names(self, folder: str) -> tuple[str, ...]:
        try:
            real = self._tree.follow(folder, self._user)
        except Trouble as trouble:
            if trouble.kind is Problem.FILE_PERMISSION:
                raise
            return ()
        node = self._tree.nodes.get(real)
        if node is None or node.kind is not PathKind.DIRECTORY:
            return ()
        if not self._user.may(node, _READ):
            raise Trouble(Problem.FILE_PERMISSION, os.strerror(errno.EACCES), subject=folder)
        return tuple(sorted(posixpath.basename(path) for path in self._tree.nodes if posixpath.dirname(path) == real))

    def link(self, path: str) -> str | None:
        folder, name = posixpath.split(path)
        try:
            node = self._tree.nodes.get(posixpath.join(self._tree.follow(folder, self._user), name))
        except Trouble as trouble:
            if trouble.kind is Problem.FILE_PERMISSION:
                raise
            return None
        return node.link or None if node is not None else None

    def make_folder(self, path: str) -> None:
        with self._lock:
            real = self._tree.follow(path, self._user)
            node = self._tree.nodes.get(real)
            if node is not None:
                if node.kind is not PathKind.DIRECTORY:
                    raise Trouble(Problem.FILE_NOT_REGULAR, os.strerror(errno.ENOTDIR), subject=path)
                return
            self._tree.may_write(real, self._user)
            self._make_folders(real, self._user)

    def open(self, path: str, *, unpack: bool = False) -> BinaryIO:
        from wizard.host.compression import unpacked

        found = self.read(path)
        if found is None:
            raise Trouble(Problem.FILE_MISSING, os.strerror(errno.ENOENT), subject=path)
        file = BytesIO(found.data)
        return unpacked(file, path) if unpack else file

    def disk(self, path: str) -> DiskSpace:
        return self._tree.space(self._tree.follow(path, self._user))

    def _make_folders(self, real: str, who: Identity) -> None:
        """A folder and the missing ones above it, as their maker's own."""
        missing: list[str] = []
        while real not in self._tree.nodes:
            missing.append(real)
            real = posixpath.dirname(real)
        for folder in reversed(missing):
            self._tree.plant(folder, Node(PathKind.DIRECTORY, 0o755, who.uid, who.gid))

    def _as(self, root: bool, do: Callable[[Identity], _T]) -> _T:
        """Does it as the user; where that is not permitted and ``root`` is asked for, as root."""
        try:
            return do(self._user)
        except Trouble as trouble:
            if not root or trouble.kind is not Problem.FILE_PERMISSION:
                raise
            if not self._can_root():
                raise Trouble(Problem.ROOT_NEEDED, "sudo: a password is required", subject=trouble.subject) from trouble
        return do(ROOT)

    def _read(self, path: str, who: Identity) -> FileContent | None:
        real = self._tree.follow(path, who)
        node = self._tree.nodes.get(real)
        if node is None:
            return None
        if node.kind is not PathKind.FILE:
            raise Trouble(Problem.FILE_NOT_REGULAR, subject=path)
        if not who.may(node, _READ):
            raise Trouble(Problem.FILE_PERMISSION, os.strerror(errno.EACCES), subject=path)
        return FileContent(path, real, node.data, node.mode, node.uid, node.gid)

    def _replace(self, path: str, before: bytes | None, after: bytes | None, mode: int, who: Identity) -> None:
        current = self._read(path, who)
        if (current.data if current else None) != before:
            raise Trouble(Problem.FILE_CHANGED, subject=path)
        real = self._tree.follow(path, who)
        node = self._tree.nodes.get(real)
        self._tree.may_write(real, who)
        if node is not None and not who.may(node, _WRITE):
            raise Trouble(Problem.FILE_PERMISSION, os.strerror(errno.EACCES), subject=path)
        if after is None:
            self._tree.nodes.pop(real, None)
            return
        self._tree.use(real, max(0, len(after) - len(before or b"")))
        if node is None:
            self._make_folders(posixpath.dirname(real), who)
            self._tree.plant(real, Node(PathKind.FILE, mode, who.uid, who.gid, after))
        else:
            node.data = after
