"""The `fleet` command, one file a command group."""
