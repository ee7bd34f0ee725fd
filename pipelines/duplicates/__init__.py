"""Finding duplicates: pure functions over keys, references and pairs; `pipelines.dedup` is their plumbing."""
