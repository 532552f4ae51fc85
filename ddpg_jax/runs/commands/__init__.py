"""What can be asked on the command line: each command is `command(args, console) -> exit code`."""
