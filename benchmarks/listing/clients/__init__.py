"""Programs that list one bucket and print what it took; each is somebody's usual way to do it.

All take the operation (`versions` or `keys`) and the bucket, read AWS's variables, and print one line of JSON: entries,
seconds and CPU seconds of the listing without the start of the program.
"""
