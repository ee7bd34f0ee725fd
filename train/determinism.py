"""What else than inputs and parameters shapes the last bits of a sum, fixed in one place."""

import torch


def set_deterministic(num_threads: int, seed: int) -> None:
    """Fixes what shapes the last bits: threads a process (sums split by thread), algorithms, and torch's seed."""
    torch.set_num_threads(num_threads)
    torch.manual_seed(seed)
    # On a GPU a few kernels have no deterministic form; there they warn. This function and not
    # torch.use_deterministic_algorithms, which does the same and imports torch's compiler for 2 seconds.
    torch.set_deterministic_debug_mode("warn" if torch.cuda.is_available() else "error")
