"""When somebody will be there, and between which moments with what probability; learnt from trips that are over.

A route's travel time (``routing/``) is put right by what past trips of the same roads, hours and people took
(``correction``), and by how the trip at hand has gone so far; the window around it is as wide as past errors say
(``windows``). ``engine`` puts these together. Pure: no clock, no I/O.
"""
