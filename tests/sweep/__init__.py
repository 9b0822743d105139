"""Die at every SQL statement of what moves money; nothing is lost and nothing happens twice: `make sweep`."""
