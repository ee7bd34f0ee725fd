"""The data card: what stages left behind, read and drawn; `pipelines.report` is the stage."""
