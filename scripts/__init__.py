"""What makes the bundled model; not in the package."""
