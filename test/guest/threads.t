# Threads of glibc and musl, static and dynamic.
# options: --cpus 2
for p in "$USER_BIN"/threads "$USER_BIN"/threads-static-pie "$USER_BIN"/threads-dynamic "$USER_BIN"/threads-musl "$USER_BIN"/threads-musl-dynamic; do
	echo "$(basename $p)"
	"$p" || echo "status $?"
done
