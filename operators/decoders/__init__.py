"""What an object says, a module for each family of objects."""
