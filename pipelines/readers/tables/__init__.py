"""Tables: JSON lines, CSV, Parquet, Arrow and datasets of the Hugging Face hub; a row is a document."""
