# Calls on files at their edges: errors, odd arguments, removed directories, a file written from its own mapping, names from
# many processes at once.
cd /dev/shm && mkdir files.$$ && cd files.$$ || exit 1
"$USER_BIN"/files
cd .. && rmdir files.$$
