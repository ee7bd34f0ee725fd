"""What `shard` decides by: the draw, the lists of what goes, leaks across splits, and which units are joined."""
