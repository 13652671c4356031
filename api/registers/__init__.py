"""The registers of who and what there is: their entries read, checked against each other, written."""
