"""What a run asks of the machine: memory, and the cache of compiled programs."""
