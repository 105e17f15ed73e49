# Processes: stopping and going on, waiting in all its ways, groups and sessions: as on Linux.
# options: --mem 64M --cpus 2
"$USER_BIN"/jobs
