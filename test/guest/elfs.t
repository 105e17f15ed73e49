# Damaged programs: those run that run on Linux, none harms the kernel. The first of each kind is whole.
# needs: perl
# options: --mem 128M --cpus 2
# timeout: 300
for kind in hello-musl hello-static-pie hello-dynamic hello-musl-dynamic; do
	echo "$kind"
	"$USER_BIN"/elfs "$USER_BIN/$kind" 250
done
# A segment of zeros alone, whose offset lies behind the end of the file, as stripping leaves it.
perl -e '
	local $/; binmode STDIN; $_ = <STDIN>;
	for (my $at = 64; $at < 64 + 56 * unpack("v", substr($_, 56, 2)); $at += 56) {
		next if unpack("V", substr($_, $at, 4)) != 0x6474e551; # PT_GNU_STACK
		substr($_, $at, 56) = pack("VVQ6", 1, 6, 0x7ffff100, 0x10000000, 0x10000000, 0, 0x2000, 0x1000);
	}
	print' <"$USER_BIN/hello-musl" >zeros
chmod +x zeros
./zeros; echo "status $?"
