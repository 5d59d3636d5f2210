"""The API and the dashboard: what the fleet is and does, and the doors to change it."""
