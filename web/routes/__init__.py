"""The addresses of the page, one file a subject."""
