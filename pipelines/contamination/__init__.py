"""What evaluation sets and documents share; `pipelines.decontaminate` is the stage."""
