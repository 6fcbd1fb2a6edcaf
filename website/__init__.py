"""The documentation site, `python -m website`: the pages in docs/, the API from the docstrings, a gallery of examples."""
