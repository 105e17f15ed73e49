# oom_score of processes without a first thread and of vfork, and who may write oom_score_adj.
# guest only
# options: --mem 64M
"$USER_BIN"/oom_score
