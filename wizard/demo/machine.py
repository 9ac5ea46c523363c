"""Simulated machines, by name. A new machine is one new file in ``machines/``; ``healthy.toml`` explains its parts."""

from __future__ import annotations

from collections.abc import Mapping

from wizard.demo import spec as specs
from wizard.demo.background import Answer, SimBackground
from wizard.demo.cache import SimCache
from wizard.demo.commands import SimCommands, SimPrivilege
from wizard.demo.daemon import Box, Daemon
from wizard.demo.downloads import SimDownloads
from wizard.demo.engine import SimEngine
from wizard.demo.files import Identity, SimFiles, Tree
from wizard.demo.gpus import SimGpus
from wizard.demo.keys import SimKeys
from wizard.demo.registry import SimRegistry
from wizard.demo.store import SimStore
from wizard.demo.terminal import SimTerminal
from wizard.host.ports import Host
from wizard.host.terminal import SystemTerminal
from wizard.model.container import DATA_TARGET, ContainerInfo, Mount
from wizard.model.errors import Problem, Trouble
from wizard.model.image import ImageReference
from wizard.model.machine import HostInfo, RootAccess, go_arch
from wizard.model.proxy import of_environment
from wizard.model.secret import Secret

PACE = 0.004
"""Seconds that a megabyte takes to be pulled: some five gigabytes in twenty seconds."""


def names() -> tuple[str, ...]:
    """The names that ``build`` takes."""
    return specs.names()


def build(name: str, *, pace: float = PACE) -> Host:
    """The simulated machine of that name, as if just switched on; two of them know nothing of each other.

    ``pace`` is the seconds for a megabyte of a pull. Raises ``BAD_INPUT`` for a name that has no file.
    """
    if name not in names():
        raise Trouble(Problem.BAD_INPUT, ", ".join(names()), subject=name)
    return assemble(specs.load(name), pace=pace)


def assemble(spec: specs.Spec, *, pace: float = 0) -> Host:
    """A host from a machine's description."""
    user = spec.user
    who = Identity(user.uid, user.gid, frozenset({user.gid, *(spec.groups[group] for group in user.groups)}))
    tree = Tree.build(spec)
    daemon = Daemon(spec.docker, tree, failed=spec.docker.failed, enabled=spec.docker.enabled, log=spec.docker.log)
    registry = SimRegistry(
        spec.registry,
        Secret(spec.keys.refused),
        go_arch(spec.os.arch),
        spec.network,
        of_environment(spec.environ),
        pace,
    )
    engine = SimEngine(spec, daemon, who, registry, pace)
    _furnish(spec, daemon, registry)
    if spec.docker.running:
        daemon.start(earlier=True)
    privilege = SimPrivilege(RootAccess.ROOT if user.uid == 0 else RootAccess(user.root))
    commands = SimCommands(spec.commands, tree, who, privilege, daemon)

    def serve(request: Mapping[str, str], key: Secret | None, answer: Answer) -> None:
        from wizard.services import background as service

        service.serve(host, request, key, answer)

    background = SimBackground(serve)
    host = Host(
        info=HostInfo(
            kind="simulated",
            name=spec.os.hostname,
            os=spec.os.name,
            arch=spec.os.arch,
            user=user.name,
            uid=user.uid,
            groups=user.groups,
            groups_on_file=user.groups_on_file,
            machine=spec.name,
        ),
        commands=commands,
        privilege=privilege,
        files=SimFiles(tree, who, lambda: privilege.is_had),
        engine=engine,
        gpus=SimGpus(spec, engine.computes),
        registry=registry,
        downloads=SimDownloads(tree, who, spec.network, pace, engine.serves),
        keys=SimKeys(spec.keys.keyring),
        terminal=SimTerminal(SystemTerminal(), commands),
        store=SimStore(f"{user.home}/.local/state/s2s-wizard", lambda: background.this().pid),
        cache=SimCache(f"{user.home}/.cache/s2s-wizard", tree),
        background=background,
        home=user.home,
        environ={"HOME": user.home, "USER": user.name, "LANG": "C.UTF-8", **spec.environ},
    )
    return host


def _furnish(spec: specs.Spec, daemon: Daemon, registry: SimRegistry) -> None:
    """Gives the engine the images, the containers and the leftovers that are there from the beginning."""
    daemon.dangling += spec.leftovers.dangling
    daemon.build_cache = spec.leftovers.build_cache
    for text in spec.images:
        reference = ImageReference.parse(text)
        daemon.images[str(reference)] = registry.unpacked(reference)
    there = {name: container for name, container in spec.containers.items() if not container.absent}
    for number, (name, container) in enumerate(there.items()):
        image = daemon.images[str(ImageReference.parse(container.image))]
        info = ContainerInfo(
            id=f"{number + 1:064x}",
            name=name,
            image=container.image,
            image_id=image.id,
            state=container.state,
            error=container.error,
            labels=dict(container.labels),
            runtime=container.runtime,
            created=container.created,
            mounts=(Mount(container.data, DATA_TARGET),) if container.data else (),
        )
        gpus = container.runtime == "nvidia"
        daemon.boxes[info.id] = Box(info, container.command, gpus=gpus, lost_gpu=container.lost_gpu)
