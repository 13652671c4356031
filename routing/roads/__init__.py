"""Travel times by road from a map of OpenStreetMap: OSRM in process, in processes of its own, or over HTTP."""
