# System calls at random: the kernel lives, and everything ends.
# guest only
# options: --mem 128M --cpus 2
"$USER_BIN"/fuzz 1 200 30 | grep -v '^seed\|^[0-9]*$'
