"""One verb a file: arguments in, printing out."""
