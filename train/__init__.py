"""Pretraining, evaluation, export and generation. Imports torch and DeepSpeed, never Beam."""
