"""Adapters to other libraries, each an optional extra: `import rfjax.interop.neural_tangents`."""
