"""Labelled working days: technicians, phones with their faults, and the truth."""
