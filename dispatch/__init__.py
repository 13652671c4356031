"""What positions mean for the working day: jobs and their log, who goes where, what is late.

Pure: no clock, no I/O. Time is an argument.
"""
