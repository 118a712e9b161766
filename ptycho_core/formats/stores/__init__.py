"""Arrays and attributes of a file, whether HDF5, NPZ or a table, without reading what nobody asks for."""
