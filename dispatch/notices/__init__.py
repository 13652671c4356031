"""Notices, pure: who is told what about a job, when, once, in which words."""
