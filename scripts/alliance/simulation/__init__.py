"""Studies with known truth: the bundled ones, and the generators behind them."""
