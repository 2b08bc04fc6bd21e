"""Where events come from, and how the whole is joined."""
