# Policies for the nodes of memory, on a machine with one.
"$USER_BIN"/numa
