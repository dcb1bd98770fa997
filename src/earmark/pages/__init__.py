"""Pages: what reports, the map and the server show in a browser."""
