"""What a download costs against ``docker pull`` on the same engine and registry, in one run: ``python -m
tests.benchmarks.download [--suite SUITE [--containerd]]``: with the installed engine, or a Debian suite's.

Images of 60 x 5 MB and 3 x 300 MB of data that cannot be compressed, and one of many files that unpack to three times
as much; a registry that gives each connection 5 MB/s, and one without a limit. Prints wall times and ratios, the bytes
that are fetched again after a kill at half, the memory of a download, how long after the registry's answers the size is
known, and the time of a pull of what is here.

The program starts as pip installs it, with its byte code written beforehand, whatever this process was told about that.
Where nothing slows the registry down, rounds of the two sides alternate and medians are compared. Each begins with
everything on the disk, so that neither waits for what the other has left to be written, and with free memory that is
really there: a virtual machine may have given it back to its host, and then the first to use it waits a second or two
for each gigabyte.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support import engines
from tests.support.engine import PrivateEngine, start
from tests.support.registry import NgcLike, Pushed, running

MB = 1_000_000
IMAGES: dict[str, list[int]] = {"60 x 5 MB": [5 * MB] * 60, "3 x 300 MB": [300 * MB] * 3}
FILES = 2500
"""in each of the ``FILE_LAYERS`` layers of the third image"""
FILE_LAYERS = 6
_PART = 20_000
"""bytes that stand three times in each of them"""
PROGRAM = str(Path(sys.executable).with_name("s2s-wizard"))
ROUNDS = 9


def docker_pull(engine: PrivateEngine, image: str) -> float:
    """Seconds of ``docker pull``, from its start to its end."""
    return timed([*("docker", "-H", engine.url, "pull", "-q", image)], dict(os.environ))


def wizard_pull(engine: PrivateEngine, image: str, home: Path, *words: str) -> float:
    """Seconds of the program's pull, from its start to its end."""
    return timed([PROGRAM, "pull", image, "--json", *words], environment(engine, home))


def environment(engine: PrivateEngine, home: Path) -> dict[str, str]:
    """The program's: a user's own, with a place for the byte code."""
    own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONPYCACHEPREFIX": str(home / "bytecode")}
    return {name: value for name, value in engine.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | own


def timed(command: list[str], environ: dict[str, str]) -> float:
    began = time.monotonic()
    done = subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stderr.decode()[-500:]}")
    return time.monotonic() - began


def forget(engine: PrivateEngine, image: str) -> None:
    client = engine.client()
    try:
        client.remove_image(image, force=True)
    finally:
        client.close()


def compare(
    name: str,
    theirs: Callable[[], float],
    ours: Callable[[], float],
    after: Callable[[], None],
    rounds: int = 1,
    memory: int = 0,
) -> None:
    """Prints both times and their ratio. ``memory`` is the bytes that each side may fill."""
    taken: tuple[list[float], list[float]] = ([], [])
    sides = [*zip(taken, (theirs, ours), strict=True)]
    for number in range(rounds):
        for times, work in sides if number % 2 else sides[::-1]:
            os.sync()
            b"\1" * memory  # free again at once, and there
            times.append(work())
            after()
    seconds = [statistics.median(times) for times in taken]
    print(
        f"{name}: docker pull {seconds[0]:.2f} s, this program {seconds[1]:.2f} s;"
        f" {seconds[0] / seconds[1]:.2f} times as fast, {seconds[1] / seconds[0]:.2f} times the time",
        flush=True,
    )


def files(seed: int) -> bytes:
    """The archive of a layer of files that gzip makes a third of: to unpack it takes longer than the rest."""
    buffer, source = io.BytesIO(), random.Random(seed)
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(FILES):
            member = tarfile.TarInfo(f"opt/{seed}/{number // 100}/{number}")
            member.size = 3 * _PART
            archive.addfile(member, io.BytesIO(3 * source.randbytes(_PART)))
    return buffer.getvalue()


def killed(engine: PrivateEngine, pushed: Pushed, ngc: NgcLike, home: Path) -> None:
    """Kills a download at half and counts what is fetched again."""
    environ = environment(engine, home)
    command = [PROGRAM, "pull", pushed.image, "--json", "--via", "download"]
    ngc.throttle(5 * MB)
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "progress" and event["bytes_done"] > pushed.download_size // 2:
                shown = event["bytes_done"]
                status = Path(f"/proc/{process.pid}/status").read_text()
                print(f"memory at half: {int(status.partition('VmHWM:')[2].split()[0]) / 1000:.0f} MB at most so far")
                break
        process.send_signal(signal.SIGKILL)
    ngc.throttle(None)
    ngc.requests.clear()
    wizard_pull(engine, pushed.image, home, "--via", "download")
    again = sum(seen.asked for seen in ngc.seen("layer")) - (pushed.download_size - shown)
    print(f"killed at half: about {max(0, again) / MB:.0f} MB of {pushed.download_size / MB:.0f} MB came a second time")
    forget(engine, pushed.image)


def plan_delay(engine: PrivateEngine, pushed: Pushed, ngc: NgcLike, home: Path, *words: str) -> float:
    """Seconds from the registry's last answer about the image to the line that tells its size and layers."""
    ngc.requests.clear()
    command = [PROGRAM, "pull", pushed.image, "--json", *words]
    told = 0.0
    with subprocess.Popen(
        command, env=environment(engine, home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not told and json.loads(line)["event"] == "plan":
                told = time.monotonic()
    about = (request for request in ngc.requests if request.kind == "manifest" or pushed.config.digest in request.path)
    return told - max(request.at for request in about if request.at < told)


def small(engine: PrivateEngine, ngc: NgcLike, home: Path) -> None:
    """What does not depend on the image's size: when that is known, and a pull of what is here."""
    pushed = ngc.push("bench/small", layers=[100_000] * 3)
    for via in ("engine", "download"):
        wizard_pull(engine, pushed.image, home, "--via", via)  # writes the byte code
        delays = []
        for _round in range(ROUNDS):
            forget(engine, pushed.image)
            delays.append(plan_delay(engine, pushed, ngc, home, "--via", via))
        print(f"size and layers known {statistics.median(delays):.3f} s after the registry's answers, --via {via}")
    compare(
        "what is here already",
        lambda: docker_pull(engine, pushed.image),
        lambda: wizard_pull(engine, pushed.image, home),
        lambda: None,
        rounds=2 * ROUNDS,
    )
    forget(engine, pushed.image)


def main() -> None:
    """Runs everything; takes some minutes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", choices=engines.SUITES)
    parser.add_argument("--containerd", action="store_true", help="with the containerd image store")
    wanted = parser.parse_args()
    if wanted.containerd and not wanted.suite:
        parser.error("--containerd needs --suite: the installed engine may be too old for that store, and ignores it")
    with tempfile.TemporaryDirectory() as folder:
        path = engines.fetch(wanted.suite, Path(folder)) if wanted.suite else ""
        against(start(engines.CONTAINERD_STORE if wanted.containerd else None, path=path))


def against_image(
    engine: PrivateEngine, ngc: NgcLike, home: Path, name: str, pushed: Pushed, memory: int, ways: tuple[str, ...]
) -> None:
    """Compares with ``docker pull`` of this image; ``memory`` is what the cache, the engine's copy and the unpacked
    files fill.
    """
    direct = pushed.image.replace(ngc.host, "{}:{}".format(*ngc.backend))
    ngc.throttle(5 * MB)
    compare(
        f"{name}, 5 MB/s for each connection",
        lambda: docker_pull(engine, pushed.image),
        lambda: wizard_pull(engine, pushed.image, home, "--via", "download"),
        lambda: forget(engine, pushed.image),
    )
    ngc.throttle(None)
    for via in ways:
        compare(
            f"{name}, no limit, --via {via}",
            lambda: docker_pull(engine, direct),
            lambda via=via: wizard_pull(engine, direct, home, "--via", via),  # type: ignore[misc]
            lambda: forget(engine, direct),
            rounds=ROUNDS,
            memory=memory,
        )


def against(engine: PrivateEngine) -> None:
    """Compares with ``docker pull`` on this engine, and ends it."""
    try:
        with running() as ngc, tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            small(engine, ngc, home)
            for name, layers in IMAGES.items():
                pushed = ngc.push("bench/" + name.split()[0], layers=layers)
                against_image(engine, ngc, home, name, pushed, 3 * pushed.download_size, ("download", "engine"))
            many = ngc.push("bench/files", layers=[files(number) for number in range(FILE_LAYERS)])
            name = f"{FILE_LAYERS} x {many.download_size // FILE_LAYERS / MB:.0f} MB of files"
            against_image(engine, ngc, home, name, many, 6 * many.download_size, ("download",))
            killed(engine, pushed, ngc, home)
    finally:
        engine.stop()


if __name__ == "__main__":
    main()
