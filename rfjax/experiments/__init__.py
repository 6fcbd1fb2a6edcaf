"""Experiments: one file a claim, from a spec over cells and stored rows to a figure."""
