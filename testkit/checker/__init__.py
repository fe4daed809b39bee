"""What must hold afterwards: the history of every message and every row, compared with the truth."""
