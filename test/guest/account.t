# Thousands of forks, execs and maps give back every frame.
# guest only
# options: --mem 128M --cpus 2
# timeout: 300
"$USER_BIN"/account 2000
