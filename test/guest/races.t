# Signals to children that are being born, on two CPUs; a TLS base that is no address; periods of a nanosecond.
# guest only
# options: --cpus 2
"$USER_BIN"/races
