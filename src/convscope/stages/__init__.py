"""One module for each command: its settings, a cheap check of the request, and the run."""
