"""The way in of pings: phones are set up for it, backlogs take turns, what is off shift or unreadable is sifted out."""
