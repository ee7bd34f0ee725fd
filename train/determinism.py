"""What else than inputs and parameters shapes the last bits of a sum, fixed in one place."""

import hashlib
import os

import torch


def set_deterministic(num_threads: int, seed: int) -> None:
    """Fixes what shapes the last bits: threads a process (sums split by thread), algorithms, and torch's seed."""
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else its products are not deterministic
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a pass over each
    torch.set_num_threads(num_threads)
    torch.manual_seed(seed)
    # On a GPU a few kernels have no deterministic form; there they warn. This function and not
    # torch.use_deterministic_algorithms, which does the same and imports torch's compiler for 2 seconds.
    torch.set_deterministic_debug_mode("warn" if torch.cuda.is_available() else "error")


def seed_dropout(*numbers: int) -> None:
    """Begins torch's random numbers anew, others for each choice of numbers: seed, step, process, ...

    Hashed into 32 bits, since torch's generator on a CPU takes no notice of the others.
    """
    text = " ".join(map(str, numbers))
    torch.manual_seed(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little"))
