#!/bin/sh
# Write doc/abi.md's text to standard output from the table of system calls, kernel/syscall.def.
set -eu
def=$(dirname "$0")/../kernel/syscall.def
count() {
	grep -c "^SYSCALL([0-9]*, [a-z0-9_]*, $1," "$def" || true
}
cat <<END
# The Linux ABI that Quire offers

Made by \`scripts/abi.sh\` from \`kernel/syscall.def\`; do not edit. The numbers are those of Linux 6.1 on x86-64:
$(count full) calls do what Linux does, $(count partial) do part of it, $(count none) return ENOSYS (and are logged once, with the program's name).

| number | call | status | note |
|---|---|---|---|
END
sed -n 's/^SYSCALL(\([0-9]*\), \([a-z0-9_]*\), \([a-z]*\), "\(.*\)")$/| \1 | \2 | \3 | \4 |/p' "$def"
