# Memory fragmented on purpose becomes whole again under programs that run on all CPUs and check what they read.
# guest only
# options: --mem 64M --cpus 2
# timeout: 300
"$USER_BIN"/compaction
[ "$(awk '/^pgmigrate_success/ { print ($2 > 0) }' /proc/vmstat)" = 1 ] && echo ok
