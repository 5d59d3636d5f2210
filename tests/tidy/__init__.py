"""The repository tests its own shape."""
