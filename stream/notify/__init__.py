"""The notifier: what happened becomes events, and events reach whoever subscribes to them."""
