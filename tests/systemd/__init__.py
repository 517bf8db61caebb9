"""The installer, the units and the Makefile."""
