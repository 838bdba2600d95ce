"""The commands: `main.py` lists them and turns errors into one line; each other file is one."""
