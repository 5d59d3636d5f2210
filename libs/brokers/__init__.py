"""Where orders go: one interface, and whoever stands behind it."""
