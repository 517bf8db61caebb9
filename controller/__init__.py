"""The door controller: everything that runs beside the pins."""
