# Free memory in single frames only, and requests that need blocks: they get them, and a program's pages move under it.
# guest only
# options: --mem 64M --cpus 2
"$USER_BIN"/direct_compaction
