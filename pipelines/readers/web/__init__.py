"""Web pages: WARC archives and HTML files, main text, title, date, author and language."""
