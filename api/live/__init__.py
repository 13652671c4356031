"""What is now: states, open visits, who is near, and the feed that tells what changes."""
