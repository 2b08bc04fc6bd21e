"""What an object reports, a module for each family of objects."""
