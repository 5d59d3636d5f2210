"""What bars say beyond single indicators: confluence, regime, candlestick patterns, features. Pure, never advice."""
