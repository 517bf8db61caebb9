"""The controller's tests: a folder a package, a file a module."""
