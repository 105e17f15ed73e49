# What a C library needs at start, from glibc and musl, static, static-PIE and dynamic.
for p in "$USER_BIN"/hello "$USER_BIN"/hello-static-pie "$USER_BIN"/hello-dynamic "$USER_BIN"/hello-musl "$USER_BIN"/hello-musl-dynamic; do
	echo "$(basename $p)"
	"$p" one 'two three' ''
	echo "status $?"
done
