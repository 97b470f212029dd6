"""Whether a processor has the instructions for bf16: told by the clock."""

import time

import torch
import torch.nn.functional as F

PROBE_CHANNELS, PROBE_SIZE = 64, (24, 32)  # of a convolution like those of a network
ROUNDS = 5
SLOW = 3.0  # a bf16 convolution that takes so many times one of fp32 is emulated


def seconds_of_convolution(dtype: torch.dtype) -> float:
    """CPU seconds of one small convolution in that type, the least of some rounds."""
    image = torch.ones(1, PROBE_CHANNELS, *PROBE_SIZE, dtype=dtype)
    kernel = torch.ones(PROBE_CHANNELS, PROBE_CHANNELS, 3, 3, dtype=dtype)
    times: list[float] = []
    with torch.no_grad():
        F.conv2d(image, kernel, padding=1)  # the first call prepares
        for _ in range(ROUNDS):
            start = time.process_time()
            F.conv2d(image, kernel, padding=1)
            times.append(time.process_time() - start)
    return min(times)


def bf16_cost() -> float:
    """Time of bf16 over that of fp32 on this processor; a few milliseconds to find out.

    Below 1 where the processor has the instructions; 29 was seen on an AMD EPYC with AVX2 alone.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several wait for each other on a busy machine, and that is counted
    try:
        fp32 = seconds_of_convolution(torch.float32)
        return seconds_of_convolution(torch.bfloat16) / max(fp32, 1e-6)
    finally:
        torch.set_num_threads(threads)


def remark_on_bf16() -> str:
    """A line for a user who trains in bf16 on this processor; empty if all is well."""
    cost = bf16_cost()
    if cost < SLOW:
        return ""
    return (
        f"bf16 takes {cost:.0f} times as long as fp32 on this processor, which has no instructions "
        "for it: train with --train.precision fp32\n"
    )
