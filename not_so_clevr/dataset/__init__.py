"""The data set: what an example is, and every way to get one."""
