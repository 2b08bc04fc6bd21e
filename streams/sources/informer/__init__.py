"""What a cluster holds, told as it changes: one list and one watch, shared by all who ask for the same."""
