"""Byte-level BPE: patterns, merges, encoding. Imports neither Beam nor torch."""
