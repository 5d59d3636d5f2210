"""Tests, by height: tidy, unit, contract, property, integration, system, acceptance; `kit` is what they share."""
