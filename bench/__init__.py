"""What the project promises, measured against its peers on the same files in the same run. See ``make bench``."""
