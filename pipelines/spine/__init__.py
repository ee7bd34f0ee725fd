"""The deterministic spine that every stage stands on. Imports neither Beam nor torch.

Read in this order: ``errors``, ``params``, ``storage``, ``schema``, ``shards``, ``manifest``, ``ledger``,
``lineage``, ``units``, ``stage``; ``progress`` and ``faults`` are small and stand apart.
"""
