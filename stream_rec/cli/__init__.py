"""The command line: a file for each command; `main` joins them and turns errors into exit codes."""
