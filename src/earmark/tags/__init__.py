"""What files say of themselves: every tag of a file, in every place that a player looks into, read without mutagen."""
