"""NVIDIA's management library, asked so that a missing driver or counter is an absent answer and not an error."""

import os
from functools import cache
from types import ModuleType
from typing import Any


class Gpu:
    """One physical GPU. `ask` calls any nvmlDeviceGet... function by the rest of its name.

    nvml: the pynvml module (or what stands in for it), already initialised. handle: the device in it.
    """

    def __init__(self, nvml: ModuleType | Any, handle: Any) -> None:
        self.nvml, self.handle = nvml, handle

    def ask(self, what: str, *arguments: Any) -> Any | None:
        """The answer of nvmlDeviceGet<what>(handle, *arguments), or None where it gives none here."""
        function = getattr(self.nvml, f"nvmlDeviceGet{what}", None)
        if function is None:
            return None
        try:
            return function(self.handle, *arguments)
        except self.nvml.NVMLError:
            return None


@cache
def gpu(device: str) -> Gpu | None:
    """The GPU that torch calls `device` ("cuda", "cuda:1"), or None where NVML can't be used. Of a MIG slice it is the
    whole GPU: clocks, power and temperature are shared.

    Found by UUID: NVML numbers devices by bus and knows nothing of CUDA_VISIBLE_DEVICES.
    """
    if not device.startswith("cuda"):
        return None
    import pynvml
    import torch

    uuid = str(torch.cuda.get_device_properties(device).uuid)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    for name in (f"GPU-{uuid}", f"MIG-{uuid}", uuid):
        try:
            handle = pynvml.nvmlDeviceGetHandleByUUID(name)
        except pynvml.NVMLError:
            continue
        try:
            return Gpu(pynvml, pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle))
        except pynvml.NVMLError:  # not a slice
            return Gpu(pynvml, handle)
    return None


def own_bytes(gpu: Gpu) -> int | None:
    """Bytes that this process holds on the GPU; None where that can't be told (MIG, or a container that hides its
    number from it, unless nobody else is there)."""
    running: dict[int, int | None] = {
        process.pid: process.usedGpuMemory for process in gpu.ask("ComputeRunningProcesses") or ()
    }
    if os.getpid() in running:
        return running[os.getpid()]
    return next(iter(running.values())) if len(running) == 1 else None
