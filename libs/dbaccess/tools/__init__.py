"""What an operator does to a store by hand: figures, optimising, export and import."""
