"""What an image says about itself, read from a real registry, and from a real engine that has it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.support import images
from tests.support.engine import PrivateEngine
from tests.support.registry import NgcLike
from wizard.host import real
from wizard.model.errors import Problem, Trouble
from wizard.model.gpu import Gpu, GpuReading, GpuReport
from wizard.services import image_fit
from wizard.services.image_fit import Verdict

pytestmark = pytest.mark.real


@dataclass
class _Gpus:
    def report(self) -> GpuReport:
        return GpuReport("535.54.03", "12.2", (Gpu(0, "RTX 2060", 6 * 2**30, (7, 5)),))

    def readings(self) -> tuple[GpuReading, ...]:
        return ()


def test_the_registry_tells_and_then_the_engine(ngc: NgcLike, engine: PrivateEngine) -> None:
    host = replace(real.build(engine.environ), gpus=_Gpus())
    new = ngc.push("group/new", layers=(5000,), env=("CUDA_VERSION=12.8.0", "NVIDIA_REQUIRE_CUDA=cuda>=12.8"))
    fits = ngc.push("group/fits", layers=(5000,), env=("CUDA_VERSION=11.8.0", "CUDA_DRIVER_VERSION=520.61.05"))
    silent = ngc.push("group/silent", layers=(5000,))
    try:
        for pushed, verdict in ((new, Verdict.NO), (fits, Verdict.YES), (silent, Verdict.UNKNOWN)):
            found = image_fit.check(host, pushed.image)
            assert (found.verdict, found.source) == (verdict, "registry"), pushed.image
        assert image_fit.check(host, fits.image).driver == "520.61.05"
        with pytest.raises(Trouble) as caught:
            image_fit.check(host, f"{ngc.host}/group/fits:none")
        assert caught.value.kind is Problem.TAG_MISSING

        name = "registry.invalid/group/here:1"
        images.add_image(engine.url, name, "ENV CUDA_VERSION=9.0.176", "LABEL maker=NVIDIA")
        here = image_fit.check(host, name)
        assert (here.verdict, here.source, here.cuda) == (Verdict.NO, "engine", "9.0.176")
        info = host.engine.image(name)
        assert info is not None
        assert (info.env["CUDA_VERSION"], info.labels["maker"]) == ("9.0.176", "NVIDIA")
    finally:
        host.engine.close()
