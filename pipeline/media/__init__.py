"""What a media file's bytes say: an open file in, values out. Reads the file it is handed and nothing else."""
