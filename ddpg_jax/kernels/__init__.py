"""What JAX sees of this package's kernels for processors: layers, norms, Adam and target steps, differentiable."""
