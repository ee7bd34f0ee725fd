"""MediaWiki XML exports: the pages of a dump, and their markup as plain text."""
