"""The broker's and the exchange's side of an order: checks, matching, account, GTT. Pure: no sockets, no clocks."""
