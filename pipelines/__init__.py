"""The corpus stages: from raw dumps to packed token shards."""
