"""Whether the Docker service runs and answers."""

from __future__ import annotations

from wizard.host.ports import Host
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Finding, Status
from wizard.model.i18n import N_, _
from wizard.services.checks.check import PROBE, Check

_ACTIVE = ("systemctl", "is-active", "docker")
_SOCKET = ("systemctl", "is-active", "docker.socket")
_ENABLED = ("systemctl", "is-enabled", "docker.service")
_PROCESS = ("pgrep", "-x", "dockerd")


def _run(host: Host) -> Finding:
    try:
        endpoint = host.engine.endpoint()
        host.engine.ping()
    except Trouble as trouble:
        return _explain(host, trouble)
    return CHECK.finding(
        Status.OK,
        _("The Docker service answers."),
        _("Docker is a service in the background; the docker command only talks to it."),
        evidence=(Evidence(f"{endpoint.source}: {endpoint.url}", "GET /_ping: OK"),),
        facts={"endpoint": endpoint},
    )


def _explain(host: Host, trouble: Trouble) -> Finding:
    if trouble.kind is Problem.ENGINE_PERMISSION:
        return _without_permission(host, trouble)
    start = _("Start it with: {command}").format(command="sudo systemctl start docker")
    if trouble.kind is Problem.ENGINE_TIMEOUT:
        return _stopped(
            trouble,
            _("The Docker service is there, but it did not answer within 5 seconds: it hangs."),
            _(
                "Wait a minute and look again. If it stays like this, the service must be restarted "
                "({command}); that stops the containers that run."
            ).format(command="sudo systemctl restart docker"),
            fixes=("restart-docker",),
        )
    if trouble.kind not in (Problem.ENGINE_MISSING, Problem.ENGINE_REFUSED):
        return CHECK.trouble(trouble)
    state = _ask(host, _ACTIVE)
    seen = (state,) if state else ()
    if state is not None and state.text == "active":
        return _stopped(
            trouble,
            _("The Docker service runs, but not at the address where the docker command looks."),
            _("Look at the variable DOCKER_HOST and at the list that {command} prints.").format(
                command="docker context ls"
            ),
            *seen,
        )
    if state is not None and state.text == "failed":
        return _stopped(
            trouble,
            _("The Docker service could not start."),
            _("The reason stands in its log: {command}").format(command="sudo journalctl -u docker -n 20"),
            *seen,
            fixes=("reset-failed-docker",),
        )
    if trouble.kind is Problem.ENGINE_REFUSED:
        return _stopped(
            trouble,
            _("The Docker service is not running; only the file of its socket is left."),
            start,
            *seen,
            fixes=_start(host),
        )
    return _stopped(
        trouble,
        _("The Docker service is not running: its socket is not there."),
        start,
        *seen,
        fixes=_start(host),
    )


def _without_permission(host: Host, trouble: Trouble) -> Finding:
    """The socket's file stays when the service stops: being refused there does not prove that it runs."""
    seen: list[Evidence] = []
    for argv in (_ACTIVE, _SOCKET, _PROCESS):
        answer = _ask(host, argv)
        if answer is None:
            continue
        seen.append(answer)
        if answer.text == "active" or (argv is _PROCESS and answer.text):
            return CHECK.finding(
                Status.OK, _("The Docker service is running."), evidence=(*seen, *_said(trouble)), facts={}
            )
    # Without pgrep nobody has looked for a service that systemd does not know.
    if seen and seen[-1].source == " ".join(_PROCESS):
        return _stopped(
            trouble,
            _("The Docker service is not running."),
            _("Start it with: {command}").format(command="sudo systemctl start docker"),
            *seen,
            fixes=_start(host),
        )
    return CHECK.finding(
        Status.WARNING,
        _("It cannot be seen whether the Docker service runs: you may not talk to it."),
        _("The next line says how you get access."),
        evidence=(*seen, *_said(trouble)),
    )


def _start(host: Host) -> tuple[str, ...]:
    """The repairs of a service that does not run: a start, and the next starts where nothing sees to them."""
    state = _ask(host, _ENABLED)
    return ("start-docker", "enable-docker") if state is not None and state.text == "disabled" else ("start-docker",)


def _ask(host: Host, argv: tuple[str, ...]) -> Evidence | None:
    """What a program said, or None where it is not there."""
    try:
        result = host.commands.run(argv, timeout=3.0)
    except Trouble:
        return None
    return Evidence(" ".join(argv), result.stdout.strip())


def _said(trouble: Trouble) -> tuple[Evidence, ...]:
    return trouble.evidence or (Evidence("GET /_ping", trouble.text),)


def _stopped(trouble: Trouble, summary: str, detail: str, *seen: Evidence, fixes: tuple[str, ...] = ()) -> Finding:
    return CHECK.finding(
        Status.ERROR,
        summary,
        detail,
        evidence=(*_said(trouble), *seen),
        fixes=fixes,
        facts={"problem": trouble.kind.value},
    )


CHECK = Check(
    id="docker.running", title=N_("Docker service"), requires=("docker.installed",), timeout=PROBE + 9.0, run=_run
)
