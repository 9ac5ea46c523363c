"""Probes: they look whether a cause that a text names holds on this machine, where no check of the check-up tells.

``ABOUT`` are those that look at the very thing that the text names (a container, a path, a registry); they come before
the checks. ``GENERAL`` look at the machine as a whole, and are asked where no check decides the cause. A cause without
a probe stays unproved: nothing is ever guessed. A new probe is a function in one of the modules and a place here.
"""

from __future__ import annotations

from collections.abc import Mapping

from wizard.services.probes import client, containers, daemon, fit, places, registry
from wizard.services.probes.probe import Probe

ABOUT: Mapping[str, Probe] = {
    # containers and images of this Docker
    "runtime-unknown": daemon.runtime_unknown,
    "name-conflict": containers.name_conflict,
    "name-invalid": containers.name_invalid,
    "container-missing": containers.missing,
    "container-not-running": containers.not_running,
    "rm-running": containers.still_running,
    "image-missing-local": containers.image_missing,
    "port-allocated": containers.port_allocated,
    # paths and ports of this machine
    "bind-source-missing": places.path_missing,
    "device-missing": places.path_missing,
    "port-in-use-host": places.port_in_use,
    "dockerd-already-running": places.another_dockerd,
    "limits-invalid": places.processors,
    "cuda-too-new": fit.cuda_too_new,
    # the docker command and its settings
    "docker-cli-missing": client.program_missing,
    "gpus-flag-too-old": client.too_old_for_gpus,
    "api-version-mismatch": client.versions,
    "docker-tls-missing": client.tls_missing,
    "docker-context-missing": client.context_missing,
    "docker-config-json-bad": client.config_bad,
    "credstore-missing": client.helper_missing,
    # the registry that the text names
    "dns-failure": registry.name_not_found,
    "connection-refused-registry": registry.refused,
    "x509-unknown-authority": registry.not_trusted,
    "x509-name": registry.not_trusted,
    "http-vs-https": registry.not_encrypted,
    "registry-5xx": registry.ill,
    "captive-portal": registry.somebody_else,
    "unauthorized": registry.wants_a_key,
    "pull-access-denied": registry.wants_a_key,
    "manifest-unknown": registry.no_such_tag,
    "no-matching-platform": registry.no_such_platform,
    "image-ref-bad": registry.no_name,
}

GENERAL: Mapping[str, Probe] = {
    "docker-host-wrong": client.address_wrong,
    "docker-desktop-context": daemon.desktop,
    "snap-docker": daemon.snap,
    "rlimit-not-permitted": daemon.rights_missing,
    "shim-oom-score": daemon.rights_missing,
    "no-space-pull": places.disk_full,
    "daemon-disk-full": places.disk_full,
    # what is here, and the GPU
    "ngc-gpu-unsupported": fit.gpu_not_known,
    "ngc-driver-too-old": fit.driver_too_old,
    "nvml-unknown-error": fit.lost_in_container,
    "ngc-shmem": fit.little_shared_memory,
    "sigbus-shm": fit.little_shared_memory,
}
