"""HTTP in, the broker's JSON out: one module a family of endpoints, `routes` lists them all."""
