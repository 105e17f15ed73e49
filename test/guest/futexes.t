# Futexes beyond what the C library uses: bitsets, requeueing, wake_op, shared words: as on Linux.
# options: --mem 64M --cpus 2
"$USER_BIN"/futexes
