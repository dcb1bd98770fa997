"""HTTP: the page, the REST interface and the doors to players. The app layer does the work; this room speaks HTTP."""
