"""The command line's groups, a file each.  A command imports what it needs when it runs, so that --help is quick."""
