"""Reference layers and models; installed as `not_so_clevr.baselines`."""
