"""Learning to tell two classes of texts apart: pure functions over features; `pipelines.quality` is their plumbing."""
