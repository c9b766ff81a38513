"""Reference layers and models; installed as `not_so_clevr.baselines`.

A model has its own file, or that of its family, and an entry point in pyproject.toml. The docstring
of a file says what its models test, and where they come from.
"""
