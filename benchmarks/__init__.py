"""How fast rfjax is, and how exact: `python -m benchmarks kernels`."""
