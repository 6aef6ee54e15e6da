"""The command `tts`: one file a command. Each parses, calls a room, and prints; no logic.

Read `main` first: it lists the commands and turns errors into one line and an exit code.
"""
