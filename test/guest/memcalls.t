# The memory calls at their edges: every error, every odd argument, and how faults are reported.
# options: --mem 96M --cpus 2
"$USER_BIN"/memcalls
