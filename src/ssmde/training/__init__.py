"""The parts that Lightning drives: the wrapped method, checkpoints, logs, validation."""
