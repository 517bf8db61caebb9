"""The page's tests: a folder a package, a file a module."""
