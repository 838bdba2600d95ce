"""What users pass in, checked and converted to one form, or refused with a message.

Each function returns what the rest of the package may trust, and copies only where the dtype asks
for it; the caller's arrays are never written to. A message says what was expected, what came, and
what to do about it.
"""
