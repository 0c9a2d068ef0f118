"""What Google's names and JSON mean: text and bytes in, values out. Opens nothing, reads no clock, logs nothing."""
