"""Pretraining, evaluation, export and generation. Imports torch and DeepSpeed, never Beam.

Read in this order: ``permutation``, ``order``, ``data``, ``model``, ``recipe``, ``optimizer``, ``scoring``, ``checkpoint``,
``world``, ``engine``, ``pretrain``; then ``saved``, ``evaluate``, ``export``, ``generate``.
"""

import os

# Both are read when the libraries load, so they stand before any import of torch. Waiting threads that spin made a
# step 10 times slower where another process wanted the cores; a fixed cuBLAS workspace is its deterministic mode.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
