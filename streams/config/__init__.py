"""The document a user writes, one per source: what it may say, and what is found in it."""
