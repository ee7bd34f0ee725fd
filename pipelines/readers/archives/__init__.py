"""Archives: the files inside zip, tar and 7z as streams."""
