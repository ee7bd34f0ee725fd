"""What a device can do at most, how much of it a run uses, and how much memory: what a person watches.

MFU, model FLOPs utilization (Chowdhery et al. 2022, PaLM, arXiv 2204.02311, appendix B): the operations that the
model's mathematics need for a token, times tokens a second, over the peak of all devices. Operations that are computed
twice, by activation checkpointing, count once.
"""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import torch

TERA = 1e12
#: Name of a GPU as torch has it -> what it is, and its peak by precision in TFLOP/s. Dense (the data sheets' figures
#: for sparse matrices are twice as high), products accumulated in fp32; tf32 and fp32 as the data sheets have them.
PEAKS: tuple[tuple[str, str, dict[str, float]], ...] = (
    (r"\bB200\b", "NVIDIA HGX B200 data sheet", {"bf16": 2250, "fp16": 2250, "tf32": 1125, "fp32": 75}),
    (r"\bH200\b", "NVIDIA H200 SXM data sheet", {"bf16": 989.4, "fp16": 989.4, "tf32": 494.7, "fp32": 67}),
    (r"\bH100 NVL\b", "NVIDIA H100 NVL data sheet", {"bf16": 835.5, "fp16": 835.5, "tf32": 417.5, "fp32": 60}),
    (r"\bH100 PCIe\b", "NVIDIA H100 PCIe data sheet", {"bf16": 756, "fp16": 756, "tf32": 378, "fp32": 51}),
    (r"\bH100\b", "NVIDIA H100 SXM data sheet", {"bf16": 989.4, "fp16": 989.4, "tf32": 494.7, "fp32": 67}),
    (r"\bA100\b", "NVIDIA A100 data sheet", {"bf16": 312, "fp16": 312, "tf32": 156, "fp32": 19.5}),
    (r"\bL40S\b", "NVIDIA L40S data sheet", {"bf16": 362, "fp16": 362, "tf32": 183, "fp32": 91.6}),
    (r"\bL4\b", "NVIDIA L4 data sheet", {"bf16": 121, "fp16": 121, "tf32": 60, "fp32": 30.3}),
    (r"\bA10\b", "NVIDIA A10 data sheet", {"bf16": 125, "fp16": 125, "tf32": 62.5, "fp32": 31.2}),
    (r"\bRTX 4090$", "NVIDIA Ada architecture paper", {"bf16": 165.2, "fp16": 165.2, "tf32": 82.6, "fp32": 82.6}),
    (r"\bRTX 3090$", "NVIDIA GA102 architecture paper", {"bf16": 71, "fp16": 71, "tf32": 35.6, "fp32": 35.6}),
    (r"\bV100-PCIE\b", "NVIDIA V100 data sheet", {"fp16": 112, "fp32": 14}),
    (r"\bV100\b", "NVIDIA V100 data sheet", {"fp16": 125, "fp32": 15.7}),
    (r"\bT4\b", "NVIDIA T4 data sheet", {"fp16": 65, "fp32": 8.1}),
)
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: A product is timed until then; the best one counts.
MEASURE_SECONDS = 0.2
#: Sizes of the matrices: the first for a CPU that computes bf16 step by step, the last for a GPU.
SIZES = (128, 256, 512, 1024, 2048, 4096, 8192)


@dataclass(frozen=True)
class Peak:
    """The most that one device (all threads of one process, on a CPU) can compute.

    Attributes:
        flops: floating-point operations a second.
        source: where the number is from.
    """

    flops: float
    source: str

    def __str__(self) -> str:
        return f"{self.flops / TERA:,.3g} TFLOP/s ({self.source})"


def stated_peak(name: str, precision: str) -> Peak | None:
    """The data sheet's peak of a GPU; None where the table has none, or for a part of a GPU (MIG).

    >>> str(stated_peak("NVIDIA A100-SXM4-80GB", "bf16"))
    '312 TFLOP/s (NVIDIA A100 data sheet, bf16, dense)'
    """
    if "MIG" in name:
        return None
    for pattern, source, peaks in PEAKS:
        if re.search(pattern, name):
            precision = "fp32" if precision == "tf32" and "tf32" not in peaks else precision
            return Peak(peaks[precision] * TERA, f"{source}, {precision}, dense") if precision in peaks else None
    return None


def measured_peak(device: torch.device, precision: str) -> Peak:
    """The best speed of a matrix product here and now: on the process's threads where the device is a CPU.

    Takes about ``MEASURE_SECONDS``. Draws no random number from the generators that training uses.
    """
    generator, best, begun = torch.Generator().manual_seed(0), 0.0, time.perf_counter()
    for size in SIZES:
        matrix = torch.rand(size, size, generator=generator).to(device, DTYPES[precision])
        seconds = _product_seconds(matrix)
        best = max(best, 2 * size**3 / seconds)
        # The next size takes eight times as long: it must fit three times into what is left.
        if 24 * seconds > MEASURE_SECONDS - (time.perf_counter() - begun):
            break
    while time.perf_counter() - begun < MEASURE_SECONDS:
        best = max(best, 2 * len(matrix) ** 3 / _product_seconds(matrix))
    where = f"{torch.get_num_threads()} threads" if device.type == "cpu" else torch.cuda.get_device_name(device)
    return Peak(best, f"measured here: a product in {precision}, {where}")


def device_peak(device: torch.device, precision: str) -> Peak:
    """The data sheet's peak where the device is a known GPU, else a measured one."""
    if device.type == "cuda":
        if precision == "fp32" and torch.backends.cuda.matmul.allow_tf32:
            precision = "tf32"
        if peak := stated_peak(torch.cuda.get_device_name(device), precision):
            return peak
    return measured_peak(device, precision)


def mfu(tokens_per_second: float, flops_per_token: float, peak: float, devices: int) -> float:
    """Model FLOPs utilization, 0 to 1.

    Args:
        tokens_per_second: of all devices together.
        flops_per_token: forward and backward.
        peak: FLOP/s of one device.

    >>> mfu(1_000_000, 800e6, 1e15, 1)
    0.8
    """
    return tokens_per_second * flops_per_token / (peak * devices)


def memory_in_use(device: torch.device, world_size: int) -> int:
    """Bytes: the most that torch's tensors held of this GPU; on a CPU the peak resident memory of this process, or the
    sum of those that one launcher started on this machine. 0 where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    pids = _siblings() if world_size > 1 else [os.getpid()]
    return sum(_peak_resident(pid) for pid in pids)


def _product_seconds(matrix: torch.Tensor) -> float:
    begun = time.perf_counter()
    product = matrix @ matrix
    if matrix.device.type == "cuda":
        float(product[0, 0])  # waits for the device
    return time.perf_counter() - begun


def _siblings() -> list[int]:
    """The processes that this one's parent started, this one among them."""
    parent = os.getppid()
    try:
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return [os.getpid()]


def _peak_resident(pid: int) -> int:
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return 1024 * int(found[1]) if found else 0
