# Hostile programs: the kernel lives, and answers as it should.
# guest only
# options: --mem 128M --cpus 2
# timeout: 300
"$USER_BIN"/hostile
