"""Everything that opens a library or writes a result."""
