"""The only place that knows the broker's SDK: session, feed, orders, history, instruments."""
