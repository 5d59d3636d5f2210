"""The processes of the fleet, one package a service; they never import each other."""
