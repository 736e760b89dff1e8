"""All that Optuna does not promise. No other folder of batchlaw names a private part of Optuna."""
