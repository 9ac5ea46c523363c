"""The sentences for every kind of failure: what happened, what to do now, what was seen, where to read more.

The one place that turns a ``Problem`` into words for a person. A new kind gets its entry in ``_WORDS``; a test
walks through the enum and refuses a kind without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wizard.model.cause import Cause
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence, Link
from wizard.model.i18n import N_, _
from wizard.model.secret import redact

LONGEST_SUBJECT = 200
"""A longer subject is shortened in the middle of the sentence; the evidence keeps it whole."""

_UNSPECIFIC = (Problem.RUNTIME_BROKEN, Problem.PULL_FAILED, Problem.ENGINE_OTHER)
"""Kinds of failure behind which many causes stand; Docker's words tell which."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A failure in words, translated. ``kind`` is the stable id; ``advice`` ends with the hint of the place
    that raised, where there is one.
    """

    kind: str
    summary: str
    advice: str
    evidence: tuple[Evidence, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class _Words:
    """``about`` is the summary when the subject is known, and holds ``{subject}``."""

    summary: str
    advice: str
    about: str = ""
    links: tuple[Link, ...] = ()


def explain(trouble: Trouble) -> Explained:
    """The words for ``trouble``, in the language in use. Nothing that looks like a key comes through.

    Where the kind says little and Docker's own words name a cause of the catalogue, that cause is told.
    """
    words = _WORDS[trouble.kind]
    subject = _printable(redact(trouble.subject))
    summary = _(words.about).format(subject=_short(subject)) if words.about and subject else _(words.summary)
    advice = _(words.advice)
    links = words.links
    if (cause := _named_by(trouble)) is not None:
        summary = _("{summary} {cause}").format(summary=summary, cause=f"{_(cause.title)}.")
        advice = " ".join((*_(cause.cause).split(), *_(cause.advice[0]).split()))
        links = cause.links
    if trouble.hint:
        advice = _("{advice} {hint}").format(advice=advice, hint=redact(trouble.hint))
    return Explained(
        kind=trouble.kind.value,
        summary=summary,
        advice=advice,
        evidence=_evidence(trouble, subject),
        links=tuple(Link(_(link.title), link.url) for link in links),
    )


def to_json(explained: Explained) -> dict[str, Any]:
    """An explanation as JSON values."""
    return {
        "id": explained.kind,
        "summary": explained.summary,
        "advice": explained.advice,
        "evidence": [{"source": item.source, "text": item.text} for item in explained.evidence],
        "links": [{"title": link.title, "url": link.url} for link in explained.links],
    }


def _named_by(trouble: Trouble) -> Cause | None:
    """The cause that Docker's own words name, where the kind of the failure says little."""
    if trouble.kind not in _UNSPECIFIC or not trouble.text:
        return None
    from wizard.knowledge import daemon_errors

    matches = daemon_errors.find(trouble.text)
    return matches[0].cause if matches else None


def _evidence(trouble: Trouble, subject: str) -> tuple[Evidence, ...]:
    seen = [Evidence(redact(item.source), redact(item.text)) for item in trouble.evidence]
    text = redact(trouble.text).strip()
    if text and not any(text in item.text for item in seen):
        seen.insert(0, Evidence(_("The message, word for word"), text))
    if len(subject) > LONGEST_SUBJECT:
        seen.append(Evidence(_("In full"), subject))
    return tuple(seen)


def _printable(text: str) -> str:
    """``text`` on one line, with control characters written out, so that it cannot disturb a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _short(text: str) -> str:
    if len(text) <= LONGEST_SUBJECT:
        return text
    half = LONGEST_SUBJECT // 2 - 1
    return f"{text[:half]}…{text[-half:]}"


_DOCKER_INSTALL = Link(N_("Docker: install Docker Engine"), "https://docs.docker.com/engine/install/")
_DOCKER_AFTER = Link(N_("Docker: after the installation"), "https://docs.docker.com/engine/install/linux-postinstall/")
_DOCKER_SERVICE = Link(
    N_("Docker: when the service does not start"), "https://docs.docker.com/engine/daemon/troubleshoot/"
)
_DOCKER_PROXY = Link(N_("Docker: use a proxy"), "https://docs.docker.com/engine/daemon/proxy/")
_DOCKER_CONTEXT = Link(N_("Docker: contexts"), "https://docs.docker.com/engine/manage-resources/contexts/")
_DOCKER_CERTIFICATE = Link(N_("Docker: certificates"), "https://docs.docker.com/engine/security/certificates/")
_DOCKER_SPACE = Link(N_("Docker: free unused space"), "https://docs.docker.com/engine/manage-resources/pruning/")
_DOCKER_LIMIT = Link(N_("Docker Hub: limits"), "https://www.docker.com/increase-rate-limit")
_TOOLKIT = Link(
    N_("NVIDIA: install the Container Toolkit"),
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html",
)
_TOOLKIT_TROUBLE = Link(
    N_("NVIDIA: Container Toolkit troubleshooting"),
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html",
)
_DRIVER = Link(N_("NVIDIA: install the driver"), "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/")
_CUDA_COMPATIBILITY = Link(N_("NVIDIA: CUDA compatibility"), "https://docs.nvidia.com/deploy/cuda-compatibility/")
_KEYS = Link(N_("NGC: your API keys"), "https://org.ngc.nvidia.com/setup/api-keys")
_CATALOG = Link(
    N_("NGC catalog: the TensorFlow image"), "https://catalog.ngc.nvidia.com/orgs/nvidia/containers/tensorflow"
)

_WORDS: dict[Problem, _Words] = {
    # commands and files of this machine
    Problem.COMMAND_MISSING: _Words(
        N_("A program that is needed here is not installed."),
        N_("Install it with your system's package manager, then try again."),
        about=N_("The program {subject} is not installed."),
    ),
    Problem.COMMAND_FAILED: _Words(
        N_("A command ended with an error."),
        N_("Read its message below; nothing after this command was done."),
        about=N_("The command {subject} ended with an error."),
    ),
    Problem.COMMAND_TIMEOUT: _Words(
        N_("A command did not finish in time and was stopped."),
        N_("The machine may be busy: wait a moment, then try again."),
        about=N_("The command {subject} did not finish in time and was stopped."),
    ),
    Problem.FILE_MISSING: _Words(
        N_("A file or folder is not there."),
        N_("Check the spelling of the path, and that its disk is connected."),
        about=N_("There is no file or folder {subject}."),
    ),
    Problem.FILE_PERMISSION: _Words(
        N_("Your user may not read or write a file or folder that is needed."),
        N_("Choose another place, or ask the person who looks after this machine for access."),
        about=N_("Your user may not read or write {subject}."),
    ),
    Problem.FILE_NOT_REGULAR: _Words(
        N_("Something else stands where a file or folder is needed."),
        N_("Choose another path, or move away what is there."),
        about=N_("Something else stands at {subject}, where a file or folder is needed."),
    ),
    Problem.FILE_CHANGED: _Words(
        N_("A file was changed by someone else in the meantime, so it was left as it is."),
        N_("Run the check-up again and look at the new preview."),
        about=N_("{subject} was changed by someone else in the meantime, so it was left as it is."),
    ),
    Problem.FILE_READ_ONLY: _Words(
        N_("The place is write-protected, so nothing could be written."),
        N_(
            "The disk is read-only, or the file is locked. Choose another place, or ask the person who looks after "
            "this machine."
        ),
        about=N_("{subject} is write-protected, so nothing could be written."),
    ),
    Problem.DISK_FULL: _Words(
        N_("The disk is full."),
        N_("Free some space, for example unused images, then try again; nothing was damaged."),
        about=N_("The disk that holds {subject} is full."),
        links=(_DOCKER_SPACE,),
    ),
    Problem.ROOT_NEEDED: _Words(
        N_("This needs administrator rights (root), and sudo asks for a password first."),
        N_("Run sudo -v in this terminal and try again, or ask the person who looks after this machine."),
        about=N_("{subject} needs administrator rights (root), and sudo asks for a password first."),
    ),
    # the package manager
    Problem.PACKAGES_LOCKED: _Words(
        N_("Another program is installing or updating packages right now."),
        N_("Wait until it has finished, often a few minutes after the start of the machine, then try again."),
    ),
    Problem.PACKAGES_SOURCES: _Words(
        N_("The system's list of package sources has a mistake, so nothing can be installed."),
        N_("Read the line below: it names the file. The check-up knows the usual mistakes and repairs them."),
    ),
    Problem.PACKAGES_UNREACHABLE: _Words(
        N_("The server that holds the packages could not be reached."),
        N_("Check the network and the proxy of this machine, then try again."),
    ),
    Problem.PACKAGES_BROKEN: _Words(
        N_("The system's packages do not fit together, so nothing more can be installed."),
        N_('Repair them first, on Debian and Ubuntu with "sudo apt --fix-broken install", then try again.'),
    ),
    Problem.PACKAGES_CONFLICT: _Words(
        N_("Other packages would have to be removed for this, so nothing was changed."),
        N_("Look at the list below. If nobody needs these packages, remove them yourself, then try again."),
        about=N_("Nothing was changed, because these packages would have to be removed for it: {subject}."),
    ),
    Problem.PACKAGE_UNKNOWN: _Words(
        N_("The package is not in any of the system's package sources."),
        N_("Check that the package source fits this system and this kind of processor."),
        about=N_("The package {subject} is not in any of the system's package sources."),
    ),
    # the Docker engine
    Problem.ENGINE_MISSING: _Words(
        N_("The Docker service was not found: it is not installed, or not started."),
        N_("Run the check-up: it finds out which, and says what to do."),
        about=N_("The Docker service was not found at {subject}: not installed, or not started."),
        links=(_DOCKER_INSTALL,),
    ),
    Problem.ENGINE_REFUSED: _Words(
        N_("The Docker service is installed, but it is not running."),
        N_("Run the check-up, or start the service: sudo systemctl start docker."),
        about=N_("Nobody answers at {subject}: the Docker service is not running."),
        links=(_DOCKER_SERVICE,),
    ),
    Problem.ENGINE_PERMISSION: _Words(
        N_("Docker is there, but your user may not use it."),
        N_("Add your user to the group docker (sudo usermod -aG docker $USER), then log in again."),
        links=(_DOCKER_AFTER,),
    ),
    Problem.ENGINE_TIMEOUT: _Words(
        N_("The Docker service is there, but it does not answer."),
        N_("Wait a minute and try again; if that does not help, the Docker service must be restarted."),
        links=(_DOCKER_SERVICE,),
    ),
    Problem.ENGINE_LOST: _Words(
        N_("The connection to the Docker service broke in the middle."),
        N_("The service may have been restarted: wait a moment, then try again."),
        links=(_DOCKER_SERVICE,),
    ),
    Problem.ENGINE_ADDRESS: _Words(
        N_("The configured address of the Docker service cannot be used."),
        N_('Run "unset DOCKER_HOST" and "docker context use default", then try again.'),
        about=N_("{subject} cannot be used as the address of the Docker service."),
        links=(_DOCKER_CONTEXT,),
    ),
    Problem.ENGINE_TOO_OLD: _Words(
        N_("This Docker is too old for the wizard."),
        N_("Install a newer Docker Engine; your images and containers are kept."),
        about=N_("This Docker ({subject}) is too old for the wizard."),
        links=(_DOCKER_INSTALL,),
    ),
    Problem.ENGINE_OTHER: _Words(
        N_("The Docker service answered with an error."),
        N_("Read its message below, then run the check-up."),
        links=(_DOCKER_SERVICE,),
    ),
    # containers
    Problem.RUNTIME_UNKNOWN: _Words(
        N_("Docker does not know the runtime that gives containers the GPU."),
        N_("Run the check-up: it offers the repair that registers the runtime."),
        about=N_('Docker does not know the runtime "{subject}".'),
        links=(_TOOLKIT,),
    ),
    Problem.RUNTIME_BROKEN: _Words(
        N_("Docker knows the runtime, but the runtime's program does not work."),
        N_("Install the NVIDIA Container Toolkit again, then run the check-up."),
        about=N_('Docker knows the runtime "{subject}", but its program does not work.'),
        links=(_TOOLKIT, _TOOLKIT_TROUBLE),
    ),
    Problem.GPU_DRIVER_NOT_SELECTED: _Words(
        N_("Docker cannot give GPUs to containers yet."),
        N_("Run the check-up: the NVIDIA Container Toolkit is missing, or newer than Docker's last start."),
        links=(_TOOLKIT,),
    ),
    Problem.RLIMIT_REFUSED: _Words(
        N_("This Docker may not give a container unlimited locked memory."),
        N_("Create the container without that setting; training works without it."),
    ),
    Problem.NAME_TAKEN: _Words(
        N_("A container with this name is already there, and the wizard did not make it."),
        N_("Choose another name; the other container is not touched."),
        about=N_('A container named "{subject}" is already there, and the wizard did not make it.'),
    ),
    Problem.NAME_INVALID: _Words(
        N_("Docker does not accept this container name."),
        N_("Use two or more letters, digits, dots, dashes or underscores; begin with a letter or digit."),
        about=N_('Docker does not accept "{subject}" as a container name.'),
    ),
    Problem.CONTAINER_MISSING: _Words(
        N_("The container is not there."),
        N_('Create it with "s2s-wizard up".'),
        about=N_('There is no container named "{subject}".'),
    ),
    Problem.CONTAINER_NOT_RUNNING: _Words(
        N_("The container is not running."),
        N_('Start it with "s2s-wizard up"; what is in it is kept.'),
        about=N_('The container "{subject}" is not running.'),
    ),
    Problem.CONTAINER_RESTARTED: _Words(
        N_("The container was stopped and started again."),
        N_("What ran in it has ended. Start it again: a training goes on from its last checkpoint."),
        about=N_('The container "{subject}" was stopped and started again.'),
    ),
    Problem.NO_DATA_FOLDER: _Words(
        N_("The container has no data folder on this machine."),
        N_('Make one that has: "s2s-wizard up" with another name.'),
        about=N_('The container "{subject}" has no data folder on this machine.'),
    ),
    Problem.CODE_UNUSABLE: _Words(
        N_("This is not OpenSeq2Seq."),
        N_("Name a clone, a mirror or an archive of OpenSeq2Seq, or move what stands in its place."),
        about=N_("{subject} is not OpenSeq2Seq."),
    ),
    Problem.CODE_UNREACHABLE: _Words(
        N_("OpenSeq2Seq could not be fetched."),
        N_("Check the network, or name a copy that you have with --code."),
        about=N_("OpenSeq2Seq could not be fetched from {subject}."),
    ),
    Problem.DEPENDENCIES_MISSING: _Words(
        N_("The container lacks something that OpenSeq2Seq needs, and it could not be installed."),
        N_("Check that the container reaches the network, then try again."),
        about=N_("The container lacks something that OpenSeq2Seq needs, and it could not be installed: {subject}."),
    ),
    Problem.CONFIG_UNUSABLE: _Words(
        N_("This configuration cannot be used."),
        N_("Choose one of example_configs, or correct the file."),
        about=N_("The configuration {subject} cannot be used."),
    ),
    Problem.OPTION_UNUSABLE: _Words(
        N_("One of the options would be refused by run.py."),
        N_("Only numbers, words, True and False of the configuration's base_params can be given."),
        about=N_('"{subject}" is an option that run.py would refuse.'),
    ),
    Problem.TRAINING_DATA: _Words(
        N_("The data for this configuration cannot be used."),
        N_('Bring the data there first. To see that everything else works: "s2s-wizard train --rehearsal".'),
        about=N_("The data for this configuration cannot be used: {subject}."),
    ),
    Problem.TRAINING_RUNS: _Words(
        N_("Another training runs here."),
        N_("Wait until it has ended, or stop it: two on one GPU take each other's memory."),
        about=N_("Another training runs here: {subject}."),
    ),
    Problem.TRAINING_FAILED: _Words(
        N_("OpenSeq2Seq ended with an error."),
        N_("Its last lines stand below; they usually name the reason."),
        about=N_("OpenSeq2Seq ended with an error: {subject}."),
    ),
    Problem.NO_CHECKPOINT: _Words(
        N_("There is no checkpoint yet."),
        N_("Train first; the first checkpoint is there when the training has begun."),
        about=N_("There is no checkpoint in {subject}."),
    ),
    Problem.BOARD_MISSING: _Words(
        N_("There is no TensorBoard in the container."),
        N_("NVIDIA's TensorFlow images have it: make a container from one of them, or install it in the container."),
        about=N_("There is no TensorBoard in the container's image {subject}."),
    ),
    Problem.BOARD_FAILED: _Words(
        N_("TensorBoard could not be started."),
        N_("Its last lines stand below; they usually name the reason."),
    ),
    Problem.BOARD_UNREACHABLE: _Words(
        N_("TensorBoard could be started, but this machine does not reach the container's network."),
        N_("So it is with Docker without root rights, with Docker Desktop, and with Docker on another machine."),
        about=N_('TensorBoard could be started, but this machine does not reach the network of "{subject}".'),
    ),
    Problem.PORT_TAKEN: _Words(
        N_("Another program uses this port in the container."),
        N_("Choose another one with --port, or leave it out: then a free one is found."),
        about=N_("Another program uses the port {subject} in the container."),
    ),
    Problem.CONTAINER_EXITED: _Words(
        N_("The container started and then stopped at once."),
        N_("Its last lines stand below; they usually name the reason."),
        about=N_('The container "{subject}" started and then stopped at once.'),
    ),
    Problem.BIND_SOURCE_MISSING: _Words(
        N_("The folder that should be shared with the container is not there."),
        N_("Make the folder or choose another one, then try again."),
        about=N_("The folder {subject}, which should be shared with the container, is not there."),
    ),
    Problem.NO_SHELL: _Words(
        N_("This image has no shell, so no command line can be opened in it."),
        N_("Choose another image, for example the recommended one."),
        about=N_("{subject} has no shell, so no command line can be opened in it."),
    ),
    Problem.NOT_EXECUTABLE: _Words(
        N_("The container has no such program, or may not run it."),
        N_("Check the spelling of the command; the container itself is fine."),
        about=N_('The container has no program "{subject}", or may not run it.'),
    ),
    Problem.IMAGE_MISSING: _Words(
        N_("The image is not on this machine yet."),
        N_('Download it first, with "s2s-wizard pull" or in the wizard.'),
        about=N_("The image {subject} is not on this machine yet."),
    ),
    # GPU
    Problem.NVML_LIBRARY_MISSING: _Words(
        N_("The NVIDIA driver is not installed on this machine."),
        N_("Install the driver and reboot; without it you can still go on with the CPU only."),
        links=(_DRIVER,),
    ),
    Problem.NVML_DRIVER_NOT_LOADED: _Words(
        N_("The NVIDIA driver is installed, but it is not loaded."),
        N_("Reboot first; if that does not help, look at Secure Boot or install the driver again."),
        links=(_DRIVER,),
    ),
    Problem.NVML_VERSION_MISMATCH: _Words(
        N_("The NVIDIA driver was updated, but the old one is still loaded."),
        N_("Reboot the machine; after that both parts have the same version."),
        links=(_DRIVER,),
    ),
    Problem.NVML_PERMISSION: _Words(
        N_("The NVIDIA driver is there, but your user may not use the GPU."),
        N_("Ask the person who looks after this machine for access to /dev/nvidia*."),
        links=(_TOOLKIT_TROUBLE,),
    ),
    Problem.NVML_BLOCKED: _Words(
        N_("The NVIDIA driver is there, but the system does not let programs reach it."),
        N_("Something else stands at /dev/nvidiactl, or the wizard runs in a closed container. A reboot often helps."),
        links=(_TOOLKIT_TROUBLE,),
    ),
    Problem.NVML_GPU_LOST: _Words(
        N_("The GPU no longer answers its driver: it was lost while the machine was running."),
        N_("Reboot. If it comes back, look at the power cables, the seat and the temperature of the card."),
        links=(_DRIVER,),
    ),
    Problem.NVML_OTHER: _Words(
        N_("The NVIDIA driver reports a fault."),
        N_("Run nvidia-smi and read its message; a reboot often helps."),
        about=N_("The NVIDIA driver reports a fault ({subject})."),
        links=(_DRIVER,),
    ),
    # TensorFlow in the container
    Problem.TENSORFLOW_IMPORT: _Words(
        N_("TensorFlow cannot be loaded in the container."),
        N_("Read the last line below. The image may have no TensorFlow; s2s-wizard image names one that has."),
        about=N_("TensorFlow cannot be loaded in the container {subject}."),
    ),
    Problem.TENSORFLOW_NO_GPU: _Words(
        N_("TensorFlow works in the container, but it sees no GPU."),
        N_("Run the check-up: it looks at the driver and at the runtime that gives containers the GPU."),
        about=N_("TensorFlow works in the container {subject}, but it sees no GPU."),
        links=(_TOOLKIT_TROUBLE,),
    ),
    Problem.TENSORFLOW_TIMEOUT: _Words(
        N_("The test of TensorFlow did not end in time and was stopped."),
        N_("On a GPU newer than the image, the first time takes long: try again. If it stays, take a newer image."),
    ),
    Problem.TENSORFLOW_FAILED: _Words(
        N_("TensorFlow was loaded, but its test failed."),
        N_("Read the message below. If it names the GPU, take another image: s2s-wizard image tells which fit."),
    ),
    Problem.CUDA_MISMATCH: _Words(
        N_("The parts of the NVIDIA driver do not have the same version (CUDA error 803)."),
        N_("Most often the driver was updated while the machine was running: reboot, then test again."),
        links=(_CUDA_COMPATIBILITY,),
    ),
    Problem.CUDA_COMPAT: _Words(
        N_("The image is too new for the driver, and this GPU may not bridge that (CUDA error 804)."),
        N_("Take an older image, or a newer driver if your GPU allows: s2s-wizard image tells which."),
        links=(_CUDA_COMPATIBILITY,),
    ),
    Problem.CUDA_DRIVER_OLD: _Words(
        N_("The NVIDIA driver is older than the CUDA in the image."),
        N_("Take an older image, or a newer driver if your GPU allows: s2s-wizard image tells which."),
        links=(_CUDA_COMPATIBILITY,),
    ),
    Problem.GPU_CODE_MISSING: _Words(
        N_("The image has no code for this GPU (no kernel image)."),
        N_("The image is too old or too new for the GPU. Take one that fits: s2s-wizard image tells which."),
    ),
    Problem.GPU_MEMORY: _Words(
        N_("The GPU has too little free memory."),
        N_("Another program uses it: nvidia-smi lists them. Wait for it, or choose another GPU for the container."),
    ),
    # the registry and the way to it
    Problem.IMAGE_NAME_INVALID: _Words(
        N_("This is not an image name."),
        N_("Use a name such as nvcr.io/nvidia/tensorflow:20.11-tf1-py3: small letters, no spaces."),
        about=N_('"{subject}" is not an image name.'),
        links=(_CATALOG,),
    ),
    Problem.TAG_MISSING: _Words(
        N_("The registry has no image with this name and tag."),
        N_('Check the tag (the part after the colon); "s2s-wizard image --list" shows known ones.'),
        about=N_("The registry has no image {subject}."),
        links=(_CATALOG,),
    ),
    Problem.KEY_WANTED: _Words(
        N_("The registry gives this image only to people with an API key."),
        N_('Make a free NGC API key, give it with "s2s-wizard key set", then try again.'),
        about=N_("The registry gives {subject} only to people with an API key."),
        links=(_KEYS,),
    ),
    Problem.KEY_REFUSED: _Words(
        N_("The registry does not accept the API key: it is wrong, expired or revoked."),
        N_('Make a new key on the NGC page and give it with "s2s-wizard key set".'),
        links=(_KEYS,),
    ),
    Problem.ACCESS_DENIED: _Words(
        N_("The registry does not let you have this image."),
        N_("Check the image's name; if it is right, ask in NGC whether your account may use it."),
        about=N_("The registry does not let you have {subject}."),
        links=(_CATALOG, _KEYS),
    ),
    Problem.LICENCE: _Words(
        N_("This image has licence terms that your NGC account has not accepted yet."),
        N_("Sign in on the image's page in the NGC catalog, accept the terms, then try again."),
        about=N_("{subject} has licence terms that your NGC account has not accepted yet."),
        links=(_CATALOG,),
    ),
    Problem.BLOCKED: _Words(
        N_("The registry does not give this image to your account, or not to your country."),
        N_("Another key does not help. Choose another image, or ask NVIDIA about this one."),
        about=N_("The registry does not give {subject} to your account, or not to your country."),
        links=(_CATALOG,),
    ),
    Problem.PLATFORM_MISSING: _Words(
        N_("This image was not built for the processor of this machine."),
        N_("Choose another tag; the NVIDIA TensorFlow 1 images need an x86-64 (amd64) processor."),
        about=N_("{subject} was not built for the processor of this machine."),
        links=(_CATALOG,),
    ),
    Problem.RATE_LIMITED: _Words(
        N_("The registry says that there were too many downloads from this network."),
        N_("Wait some minutes, then try again."),
        links=(_DOCKER_LIMIT,),
    ),
    Problem.REGISTRY_TROUBLE: _Words(
        N_("The registry has a problem of its own right now."),
        N_("Wait some minutes, then try again; nothing is wrong with your machine."),
        about=N_("The registry {subject} has a problem of its own right now."),
    ),
    Problem.REGISTRY_UNREACHABLE: _Words(
        N_("The registry cannot be reached from this machine."),
        N_("Check the network; a firewall may have to allow nvcr.io, layers.nvcr.io and authn.nvidia.com."),
        about=N_("The registry {subject} cannot be reached from this machine."),
    ),
    Problem.REGISTRY_HTTP: _Words(
        N_("This registry does not use encryption (it speaks HTTP, not HTTPS)."),
        N_("Use a registry with HTTPS; without it, others can read and change what you download."),
        about=N_("The registry {subject} does not use encryption (it speaks HTTP, not HTTPS)."),
    ),
    Problem.REGISTRY_UNTRUSTED: _Words(
        N_("The registry wanted the API key to be sent to another server; it was not sent."),
        N_("Use nvcr.io, or ask the person who runs this registry."),
        about=N_("The API key was wanted by {subject}, a server that is not trusted; it was not sent."),
    ),
    Problem.DNS: _Words(
        N_("The name of the registry could not be found on the network."),
        N_("Check the internet connection and the spelling of the name, then try again."),
        about=N_("The name {subject} could not be found on the network."),
    ),
    Problem.TLS: _Words(
        N_("The registry's certificate was not accepted, so the connection is not safe."),
        N_("Whoever answers there may not be who they say; never switch the check of certificates off."),
        about=N_("The certificate of {subject} was not accepted, so the connection is not safe."),
        links=(_DOCKER_CERTIFICATE,),
    ),
    Problem.PROXY: _Words(
        N_("The proxy (the server that connects this network to the internet) does not answer well."),
        N_("Check the proxy's address; the Docker service has a proxy setting of its own."),
        about=N_("The proxy {subject} does not answer well."),
        links=(_DOCKER_PROXY,),
    ),
    Problem.CAPTIVE_PORTAL: _Words(
        N_("Somebody else answers in the place of the registry."),
        N_("Guest networks show a login page so: open any page in a web browser, log in there, then try again."),
        about=N_("Somebody else answers in the place of {subject}."),
    ),
    Problem.CLOCK: _Words(
        N_("The clock of this machine is wrong, so that certificates look bad."),
        N_("Set the clock (sudo timedatectl set-ntp true), then try again."),
    ),
    Problem.PULL_FAILED: _Words(
        N_("The download stopped with an error."),
        N_("Try again; if it stops again, read the message below."),
        about=N_("The download of {subject} stopped with an error."),
    ),
    Problem.ARCHIVE_BAD: _Words(
        N_("This file is not an image archive that can be used."),
        N_(
            'Make it anew where Docker and a network are: "docker pull IMAGE", then "docker save -o FILE.tar IMAGE";'
            " copy it here whole."
        ),
        about=N_("{subject} is not an image archive that can be used."),
    ),
    Problem.DIGEST_MISMATCH: _Words(
        N_("What was downloaded is not what the registry announced, so it is not used."),
        N_("Download it again; if this comes back, a proxy on the way changes the data."),
        about=N_("What was downloaded as {subject} is not what the registry announced, so it is not used."),
    ),
    Problem.PULL_CUT_OFF: _Words(
        N_("The process that downloaded has ended without a word."),
        N_("Start the download again; it takes up what was kept."),
        about=N_("The process that downloaded {subject} has ended without a word."),
    ),
    # files from other servers
    Problem.DOWNLOAD_UNREACHABLE: _Words(
        N_("The server of the download cannot be reached."),
        N_("Check the network, then try again: it goes on where it stopped."),
        about=N_("{subject} cannot be reached."),
    ),
    Problem.DOWNLOAD_REFUSED: _Words(
        N_("The server does not give this file out."),
        N_("Try again later, or name another server that has it."),
        about=N_("The server does not give out {subject}."),
    ),
    Problem.DOWNLOAD_DAMAGED: _Words(
        N_("What was downloaded is not what was published, so it is not used."),
        N_("Download it again; if this comes back, a proxy on the way changes the data, or the server has a bad copy."),
        about=N_("{subject} is not what was published, so it is not used."),
    ),
    # recordings and their texts
    Problem.DISK_SMALL: _Words(
        N_("There is not enough space for this, so nothing was begun."),
        N_("Free some space, choose less, or choose a folder on a larger disk."),
        about=N_("There is not enough space where {subject} lies, so nothing was begun."),
    ),
    Problem.DATA_MISSING: _Words(
        N_("There is no data of the kind that was looked for."),
        N_("Check the folder, and what it should hold."),
        about=N_("There is no data of the kind that was looked for in {subject}."),
    ),
    Problem.DATA_UNREADABLE: _Words(
        N_("Some of the data cannot be used, so no list was written."),
        N_("Look at the first of them below; what was converted is kept."),
        about=N_("Some of the data of {subject} cannot be used, so no list was written."),
    ),
    # keys and their stores
    Problem.STORE_MISSING: _Words(
        N_("This machine has no password store that the wizard can use."),
        N_("Keep the key in a private file, or only until you quit."),
    ),
    Problem.STORE_LOCKED: _Words(
        N_("The password store of this machine is locked."),
        N_("Unlock it on your desktop, or keep the key only until you quit."),
    ),
    Problem.STORE_FAILED: _Words(
        N_("The API key cannot be kept there."),
        N_("Choose another place for the key, or keep it only until you quit."),
        about=N_("The API key cannot be kept in {subject}."),
    ),
    Problem.KEY_SHAPE: _Words(
        N_("This is not an NGC API key."),
        N_("Copy the whole key from the NGC page; most begin with nvapi-."),
        links=(_KEYS,),
    ),
    # the user's side
    Problem.BAD_INPUT: _Words(
        N_("This value cannot be used."),
        N_("Change it and try again; nothing was done."),
        about=N_('"{subject}" cannot be used here.'),
    ),
    Problem.NO_TERMINAL: _Words(
        N_("This needs a terminal, and there is none."),
        N_('Run it in a terminal window; in scripts use "s2s-wizard run" or another command.'),
    ),
    Problem.BUSY: _Words(
        N_("Another wizard is changing this machine right now."),
        N_("Wait until it has ended, or end it in its own window; then try again."),
        about=N_("Another wizard (process {subject}) is changing this machine right now."),
    ),
    Problem.CANCELLED: _Words(
        N_("You stopped it."),
        N_("Start again whenever you like."),
    ),
    Problem.UNSCRIPTED: _Words(
        N_("The simulated machine has no answer for this."),
        N_("Nothing is wrong with your real machine; choose something else."),
        about=N_('The simulated machine has no answer for "{subject}".'),
    ),
    Problem.INTERNAL: _Words(
        N_("Something went wrong inside the wizard; it is not your fault."),
        N_("Try again; if it comes back, tell us what the log says (keys are masked in it)."),
    ),
}
