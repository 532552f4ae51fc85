"""The memory: packed rows in a ring, n steps folded when sampling."""
