"""Tells the Docker service the proxy that this shell uses.

Facts: since engine 23.0 daemon.json takes ``proxies`` (older ones refuse to start with that key); before, the service
needs variables in a file of systemd. Both are read at the start of the service only. What the file says wins over
variables, and a flag (``--https-proxy``) together with the file is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from wizard.host.ports import Host
from wizard.model import daemon_json, daemon_rules
from wizard.model.engine import DaemonProcess, EngineInfo, EngineKind
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.fix import Fix, ReplaceFile, Risk, RunCommand
from wizard.model.i18n import _
from wizard.model.proxy import Proxies, address, has_password, of_environment
from wizard.model.secret import redact
from wizard.services.checks import network_proxy
from wizard.services.checks.network_registry import HOST
from wizard.services.fixes import docker_service
from wizard.services.fixes.register_runtime import may_write
from wizard.services.fixes.repair import Repair

ID = network_proxy.FIX
KEY = "proxies"
DROP_IN = "/etc/systemd/system/docker.service.d/http-proxy.conf"
_IN_FILE_SINCE = (23, 0)
_FLAGS = ("http-proxy", "https-proxy", "no-proxy")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the plan depends on. ``path`` is the file to write, ``before`` its content, ``in_file`` whether it is
    daemon.json.
    """

    engine: EngineInfo
    daemon: DaemonProcess
    shell: Proxies
    path: str
    before: bytes | None
    in_file: bool
    may_write: bool


def plan(host: Host) -> Fix | None:
    """Writes the proxy where this version of Docker looks for it; None when Docker has it already.

    Raises what the engine raises; ``BAD_INPUT`` where this shell has no proxy, where the service was started with
    another one, and where a file is not one to edit; ``ENGINE_OTHER`` for a Docker that is not started by this system.
    """
    shell = of_environment(host.environ)
    engine, daemon = host.engine.info(), host.engine.daemon()
    if not shell.to(HOST):
        hint = _("This shell has no proxy for {host}: set HTTPS_PROXY, then start the wizard again.").format(host=HOST)
        raise Trouble(Problem.BAD_INPUT, subject="HTTPS_PROXY", hint=hint)
    if address(shell.https) == address(network_proxy.of_daemon(engine).to(HOST)):
        return None
    facts = _gather(host, engine, daemon, shell)
    after = _after(facts)
    stopped = docker_service.stopped_by_restart(host)
    return Fix(
        id=ID,
        title=_("Tell Docker about the proxy {proxy}").format(proxy=address(shell.https)),
        why=_why(shell, facts.path),
        actions=(
            ReplaceFile(
                facts.path,
                facts.before,
                after,
                # Whoever may read a password here can use the proxy in your name.
                mode=0o600 if has_password(shell.https) or has_password(shell.http) else 0o644,
                needs_root=not facts.may_write,
                why=_("Writes the proxy into Docker's settings; everything else in the file stays as it is."),
            ),
        ),
        check=network_proxy.CHECK.id,
        risk=Risk.RESTART,
        touches=stopped,
        touches_note=docker_service.restart_note(stopped),
        undo_note=_("Undo puts the old file back, byte for byte, and restarts Docker."),
        evidence=(Evidence("GET /info → HttpsProxy", redact(engine.https_proxy) or _("no proxy")),),
        closing=docker_service.restart(host, units_changed=not facts.in_file),
    )


def _gather(host: Host, engine: EngineInfo, daemon: DaemonProcess | None, shell: Proxies) -> Facts:
    config = daemon_json.config_path(engine.kind, daemon, host.home, host.environ)
    by_file = in_file(engine)
    path = config if by_file else DROP_IN
    if engine.kind not in (EngineKind.ENGINE, EngineKind.ROOTLESS) or daemon is None or path is None:
        hint = _("The settings of this Docker cannot be changed from here.")
    elif not by_file and engine.kind is EngineKind.ROOTLESS:
        hint = _("This rootless Docker is too old for a proxy in its settings file. Its documentation says how.")
    elif not PurePosixPath(path).is_absolute():
        hint = _("Docker was started with a settings file whose full path is not known: {path}").format(path=path)
    else:
        given = [flag for flag in _FLAGS if daemon.option(flag)]
        if given:
            raise Trouble(
                Problem.BAD_INPUT,
                subject=f"--{given[0]}",
                hint=_(
                    "Docker is started with this flag, and refuses a proxy in its settings as well. Change it there."
                ),
                evidence=(Evidence(f"/proc/{daemon.pid}/cmdline", redact(" ".join(daemon.argv))),),
            )
        content = host.files.read(path, root=True)
        before = content.data if content is not None else None
        return Facts(engine, daemon, shell, path, before, by_file, may_write(host, path, content))
    raise Trouble(
        Problem.ENGINE_OTHER,
        subject=engine.name,
        hint=hint,
        evidence=(Evidence("GET /info", f"{engine.kind.value} {engine.version}"),),
    )


def _after(facts: Facts) -> bytes:
    """The new content of the file. Raises ``BAD_INPUT``."""
    values = {
        name: value
        for name, value in zip(_FLAGS, (facts.shell.http, facts.shell.https, facts.shell.none), strict=True)
        if value
    }
    if not facts.in_file:
        return _units(facts.before, values, facts.path)
    after = facts.before
    for name, value in values.items():
        after = daemon_json.with_text(after, (KEY, name), value, facts.path)
    flaws = daemon_rules.refusals(after, facts.engine.version, facts.daemon)
    if flaws:
        hint = _("Docker would not accept this file: {flaw}").format(flaw=flaws[0])
        raise Trouble(
            Problem.BAD_INPUT, flaws[0], subject=facts.path, hint=hint, evidence=(Evidence(facts.path, flaws[0]),)
        )
    return after or b""


def _units(before: bytes | None, values: Mapping[str, str], path: str) -> bytes:
    """A new file of systemd. One that is there already was written by somebody else."""
    if before is not None and before.strip():
        raise Trouble(
            Problem.BAD_INPUT,
            subject=path,
            hint=_("This file sets a proxy already, but another one. Whoever wrote it can say which is right."),
            evidence=(Evidence(path, redact(before.decode(errors="replace"))),),
        )
    lines = [f'Environment="{name.replace("-", "_").upper()}={_quoted(value)}"' for name, value in values.items()]
    return ("[Service]\n" + "\n".join(lines) + "\n").encode()


def _quoted(value: str) -> str:
    """For a quoted text of systemd: ``%`` begins a specifier there."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _why(shell: Proxies, path: str) -> str:
    text = _(
        "The Docker service downloads the images. It does not see the proxy of your shell, so it is written into its "
        "own settings, and Docker is restarted once."
    )
    if not (has_password(shell.https) or has_password(shell.http)):
        return text
    return _(
        "{text} The address holds a password. It is masked in this preview, but it must stand readable in {path}: "
        "whoever may read that file can read it."
    ).format(text=text, path=path)


def in_file(engine: EngineInfo) -> bool:
    """Whether this version reads a proxy from daemon.json."""
    return tuple(int(number) for number in re.findall(r"\d+", engine.version)[:2]) >= _IN_FILE_SINCE


def take_effect(host: Host) -> tuple[RunCommand, ...]:
    """A restart: the proxy is read at the start only."""
    try:
        units_changed = not in_file(host.engine.info())
    except Trouble:
        units_changed = True
    return docker_service.restart(host, units_changed=units_changed)


REPAIR = Repair(id=ID, plan=plan, take_effect=take_effect)
