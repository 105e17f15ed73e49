#!/bin/sh
# demo.sh - the main job on real input: a pipeline of unmodified Debian programs over real text, in a
# guest of 64 MB whose memory is Quire's.
#
# The text is what is on the machine: the documentation and scripts of installed packages, 12 MB of it. The
# pipeline counts its words: perl splits, sort orders (it holds all words in memory), uniq counts, gzip packs
# and unpacks, and a checksum shows that nothing was lost.
set -eu
cd "$(dirname "$0")/.."
text=$PWD/${B:-build}/demo.txt # not in /tmp: a guest has its own
if ! { : >"$text"; } 2>/dev/null; then
	echo "quire: cannot write $text: run as a user who may" >&2
	exit 125
fi
trap 'rm -f "$text" "$text.more"' EXIT INT TERM
find /usr/share/doc /usr/share/perl /usr/share/perl5 /usr/lib/python3* /usr/share/common-licenses \
	-type f \( -name copyright -o -name '*.pod' -o -name '*.pm' -o -name '*.py' -o -name 'GPL*' \) -size -400k \
	-exec cat {} + 2>/dev/null | head -c 12000000 >"$text" || true
size=$(wc -c <"$text")
if [ "$size" -lt 10000000 ]; then
	echo "quire: only $size bytes of text are on this machine; the demonstration repeats them to 12 MB" >&2
	while [ "$(wc -c <"$text")" -lt 12000000 ]; do
		head -c 4000000 "$text" >"$text.more"
		cat "$text.more" >>"$text"
		rm -f "$text.more"
	done
fi
job='
set -e
echo "Quire: $(uname -sr), $(nproc) CPUs, $(grep MemTotal /proc/meminfo)"
echo "text: $(wc -c <"$1") bytes"
perl -ne "print lc(\$_), qq(\n) for /[A-Za-z]{4,}/g" "$1" | sort -S 16M >/tmp/words
echo "words: $(wc -l </tmp/words)"
uniq -c /tmp/words | sort -rn | head -10
rm /tmp/words
gzip -1 <"$1" >/tmp/text.gz
echo "gzip: $(wc -c </tmp/text.gz) bytes"
before=$(cksum <"$1")
after=$(gzip -d </tmp/text.gz | cksum)
[ "$before" = "$after" ] && echo "round trip: the same checksum, $after"
'
echo '$ ./quire run --mem 64M --stats -- sh -c (count the words of 12 MB of text, pack and unpack it)'
./quire run --mem 64M --stats -- /bin/sh -c "$job" sh "$text"
