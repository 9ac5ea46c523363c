"""What the engine says, as our words, and what is said to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wizard.model.engine import Endpoint, EngineInfo, EngineKind, ImageInfo

if TYPE_CHECKING:
    from wizard.model.container import ContainerInfo, ContainerSpec
    from wizard.model.disk_usage import DiskUsage


def engine_info(version: Mapping[str, Any], info: Mapping[str, Any], endpoint: Endpoint) -> EngineInfo:
    runtimes = {name: str((entry or {}).get("path") or "") for name, entry in (info.get("Runtimes") or {}).items()}
    status = [tuple(item) for item in info.get("DriverStatus") or ()]
    return EngineInfo(
        kind=_kind(version, info, endpoint),
        version=str(version.get("Version") or info.get("ServerVersion") or ""),
        api_version=str(version["ApiVersion"]),
        os=str(info.get("OperatingSystem") or version.get("Os") or ""),
        arch=str(version.get("Arch") or ""),
        runtimes=runtimes,
        default_runtime=str(info.get("DefaultRuntime") or ""),
        root_dir=str(info.get("DockerRootDir") or ""),
        storage_driver=str(info.get("Driver") or ""),
        containerd_store=("driver-type", "io.containerd.snapshotter.v1") in status,
        live_restore=bool(info.get("LiveRestoreEnabled")),
        containers_running=int(info.get("ContainersRunning") or 0),
        name=str(info.get("Name") or ""),
        cgroup_driver=str(info.get("CgroupDriver") or ""),
        warnings=tuple(info.get("Warnings") or ()),
        cdi_folders=tuple(info.get("CDISpecDirs") or ()),
        http_proxy=str(info.get("HttpProxy") or ""),
        https_proxy=str(info.get("HttpsProxy") or ""),
        no_proxy=str(info.get("NoProxy") or ""),
        swarm=str((info.get("Swarm") or {}).get("LocalNodeState") or "inactive") != "inactive",
    )


def _kind(version: Mapping[str, Any], info: Mapping[str, Any], endpoint: Endpoint) -> EngineKind:
    components = " ".join(str(part.get("Name")) for part in version.get("Components") or ())
    if "podman" in components.lower():
        return EngineKind.PODMAN
    if info.get("OperatingSystem") == "Docker Desktop":
        return EngineKind.DESKTOP
    if endpoint.socket is None:
        return EngineKind.REMOTE
    if any("name=rootless" in option for option in info.get("SecurityOptions") or ()):
        return EngineKind.ROOTLESS
    if str(info.get("DockerRootDir") or "").startswith("/var/snap/"):
        return EngineKind.SNAP
    return EngineKind.ENGINE


def image_info(raw: Mapping[str, Any]) -> ImageInfo:
    config = raw.get("Config") or {}
    return ImageInfo(
        id=raw["Id"],
        tags=tuple(raw.get("RepoTags") or ()),
        repo_digests=tuple(raw.get("RepoDigests") or ()),
        size=int(raw.get("Size") or 0),
        architecture=raw.get("Architecture") or "",
        command=tuple(config.get("Cmd") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        env=dict(item.partition("=")[::2] for item in config.get("Env") or ()),
        labels=dict(config.get("Labels") or {}),
        layers=tuple((raw.get("RootFS") or {}).get("Layers") or ()),
    )


def disk_usage(raw: Mapping[str, Any]) -> DiskUsage:
    """The answer of ``GET /system/df``. A number of containers that the engine did not count (-1) is taken for some."""
    from wizard.model.disk_usage import DiskUsage, StoredContainer, StoredImage

    return DiskUsage(
        images=tuple(
            StoredImage(
                item["Id"],
                tuple(tag for tag in item.get("RepoTags") or () if not tag.startswith("<none>")),
                int(item.get("Size") or 0),
                in_use=int(item.get("Containers") or 0) != 0,
            )
            for item in raw.get("Images") or ()
        ),
        containers=tuple(
            StoredContainer(
                item["Id"],
                str((item.get("Names") or [""])[0]).removeprefix("/"),
                str(item.get("State") or "") in ("running", "paused", "restarting"),
                int(item.get("SizeRw") or 0),
            )
            for item in raw.get("Containers") or ()
        ),
        build_cache=sum(
            int(item.get("Size") or 0)
            for item in raw.get("BuildCache") or ()
            if not item.get("InUse") and not item.get("Shared")
        ),
    )


def container_info(raw: Mapping[str, Any]) -> ContainerInfo:
    from wizard.model.container import ContainerInfo, Mount

    state, config, host = raw.get("State") or {}, raw.get("Config") or {}, raw.get("HostConfig") or {}
    return ContainerInfo(
        id=raw["Id"],
        name=str(raw.get("Name") or "").removeprefix("/"),
        image=str(config.get("Image") or ""),
        image_id=str(raw.get("Image") or ""),
        state=str(state.get("Status") or ""),
        exit_code=int(state.get("ExitCode") or 0),
        error=str(state.get("Error") or ""),
        labels=dict(config.get("Labels") or {}),
        mounts=tuple(
            Mount(str(mount.get("Source") or ""), str(mount.get("Destination") or ""), not mount.get("RW", True))
            for mount in raw.get("Mounts") or ()
        ),
        runtime=str(host.get("Runtime") or ""),
        auto_remove=bool(host.get("AutoRemove")),
        restart_policy=str((host.get("RestartPolicy") or {}).get("Name") or ""),
        created=str(raw.get("Created") or ""),
        address=_address(raw),
    )


def _address(raw: Mapping[str, Any]) -> str:
    """The container's address. Docker has left out the one of the usual network at the top level since 29."""
    if (raw.get("HostConfig") or {}).get("NetworkMode") == "host":
        return "127.0.0.1" if (raw.get("State") or {}).get("Running") else ""
    networks = ((raw.get("NetworkSettings") or {}).get("Networks") or {}).values()
    found = [str((network or {}).get(key) or "") for key in ("IPAddress", "GlobalIPv6Address") for network in networks]
    return next((address for address in found if address), "")


def host_config(client: Any, spec: ContainerSpec) -> Any:
    from docker import types

    limits = [types.Ulimit(name="stack", soft=spec.stack, hard=spec.stack)]
    if spec.memlock:
        limits.append(types.Ulimit(name="memlock", soft=-1, hard=-1))
    requests: list[Any] = []
    if spec.device_request:
        which = {"count": -1} if spec.gpus.all else {"device_ids": [str(index) for index in spec.gpus.indices]}
        requests.append(types.DeviceRequest(capabilities=[["gpu"]], **which))
    return client.create_host_config(
        mounts=[
            types.Mount(mount.target, mount.source, type="bind", read_only=mount.read_only) for mount in spec.mounts
        ],
        shm_size=spec.shm,
        ulimits=limits,
        runtime=spec.runtime,
        device_requests=requests or None,
        network_mode=spec.network or None,
        read_only=spec.read_only,
        auto_remove=spec.auto_remove,
    )
