"""A stand-in for TensorFlow 1 that fails as /data/mode says, with the words that TensorFlow has for it."""

import os
import sys
import time

__version__ = "1.15.4"
_mode = "/data/mode"
mode = open(_mode).read().strip() if os.path.exists(_mode) else ""

CUDA = "2026-01-01 00:00:00.000000: E tensorflow/stream_executor/cuda/cuda_driver.cc:318] failed call to cuInit: "
WORDS = {
    "803": "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: system has unsupported display driver / cuda driver combination",
    "803-by-number": "UNKNOWN ERROR (803)",
    "804": "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: forward compatibility was attempted on non supported HW",
    "no-gpu": "CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
    "too-old": (
        "Ignoring visible gpu device (device: 0, name: Tesla K80, pci bus id: 0000:00:1e.0, compute capability: 3.7) "
        "with Cuda compute capability 3.7. The minimum required Cuda capability is 6.0."
    ),
}
if mode == "import":
    raise ImportError("libcublas.so.10.0: cannot open shared object file: No such file or directory")
if mode == "two":
    __version__ = "2.9.1"
if mode == "hang":
    while True:
        time.sleep(1)
if mode == "killed":
    os.kill(os.getpid(), 9)


class InternalError(Exception):
    pass


class ResourceExhaustedError(Exception):
    pass


class _Options:
    allow_growth = False


class ConfigProto:
    def __init__(self, allow_soft_placement=True):
        self.gpu_options = _Options()


class _Block:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


class Graph(_Block):
    def as_default(self):
        return self


class Session(_Block):
    def __init__(self, graph=None, config=None):
        assert config.gpu_options.allow_growth

    def run(self, product, fed):
        left, right = (fed[key] for key in product)
        if mode == "no-kernel":
            raise InternalError("CUDA runtime implicit initialization on GPU:0 failed. Status: no kernel image is "
                                "available for execution on the device")  # fmt: skip
        if mode == "memory":
            raise ResourceExhaustedError("OOM when allocating tensor with shape[512,512] and type float")
        if mode == "cublas":
            raise InternalError("Blas GEMM launch failed")
        if mode == "wrong":
            return left.dot(right) + 1
        return left.dot(right)


def device(name):
    return _Block()


def placeholder(dtype, shape):
    return object()


def matmul(left, right):
    return (left, right)


def devices():
    if mode in WORDS:
        sys.stderr.write(CUDA + WORDS[mode] + "\n")
    if mode == "slow":
        time.sleep(2)
    return mode not in WORDS


class compat:
    v1 = sys.modules[__name__]
