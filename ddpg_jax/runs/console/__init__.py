"""The command line: its commands and flags, what it prints, how it ends."""
