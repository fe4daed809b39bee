"""The edges against what is behind them: SQS, PostgreSQL, HTTP."""
