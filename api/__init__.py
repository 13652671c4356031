"""The thin FastAPI. No rules of its own.

``routes`` has a file a resource, and beside it stands a folder for what there is more to than a route: ``jobs``,
``plans``, ``requests``, ``stock``, ``tracking``, ``reports``, ``registers``, ``erasure``. ``http`` is what all routes
share, ``auth`` who may do what, ``ingest`` the way in of pings, ``live`` what is now, ``history`` what was, ``places``
where things are. ``app`` puts it together from the outside world in ``services``, which ``ports`` names by shape.
"""
