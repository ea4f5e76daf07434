"""Results made visible: tables, figures and files to keep."""
