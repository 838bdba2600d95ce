"""Models in files: written whole or not at all, and read without executing what they hold."""
