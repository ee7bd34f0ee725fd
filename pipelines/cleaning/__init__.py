"""Cleaning text: normalisation and published rules, as pure functions over batches; `pipelines.clean` is the stage."""
