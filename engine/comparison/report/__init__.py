"""The report page of a comparison: one HTML file with its pictures and its figures."""
