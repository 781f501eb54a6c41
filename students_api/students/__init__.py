"""The resource `/students/`."""
