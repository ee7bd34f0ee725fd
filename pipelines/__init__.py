"""The corpus stages: from raw dumps to packed token shards."""

import logging

# Beam says at import that it lacks clients which nothing here uses; a first-time user reads that as a fault.
logging.getLogger().addFilter(lambda record: not str(record.msg).startswith("apitools not found"))
