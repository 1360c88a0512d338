"""The command line: a file for each command; `main` puts them together and turns errors into exit codes."""
