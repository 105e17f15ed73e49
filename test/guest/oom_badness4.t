# Who dies when memory runs out, on 4 CPUs.
# guest only
# options: --mem 32M --cpus 4
"$USER_BIN"/oom
