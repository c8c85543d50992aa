"""What training and serving must share; knows no rung."""
