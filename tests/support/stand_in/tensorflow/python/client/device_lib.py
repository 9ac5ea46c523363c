import tensorflow


class Device:
    def __init__(self, kind, number, about):
        self.device_type = kind
        self.name = "/device:{}:{}".format(kind, number)
        self.physical_device_desc = about


def list_local_devices(session_config=None):
    gpus = [Device("CPU", 0, "")]
    if tensorflow.devices():
        about = "device: 0, name: NVIDIA H100 80GB HBM3, pci bus id: 0000:00:06.0, compute capability: 9.0"
        gpus.append(Device("GPU", 0, about))
    return gpus
