"""What travels: readings in batches, their identity and their ports.  Imports nothing of ours."""
