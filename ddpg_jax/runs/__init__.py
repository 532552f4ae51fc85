"""What a person handles: the command line, run directories, progress."""
