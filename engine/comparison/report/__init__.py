"""The report page of a comparison: one HTML file that carries pictures, tables and figures."""
