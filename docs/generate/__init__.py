"""Pages of the documentation that are made from the package, the results and the notebook."""
