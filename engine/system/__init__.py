"""The operating system: files that are written whole, locks, owners, memory, mapped files."""
