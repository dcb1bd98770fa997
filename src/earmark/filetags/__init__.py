"""Results into the files themselves, with a journal to take them back bit for bit (extra ``tags``)."""
