# options: --mem 32M --cpus 4
# guest only
"$USER_BIN/pressure"
