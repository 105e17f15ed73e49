# What oom_score_adj takes, and what not.
# needs: root
for text in 500 ' 300\n' +7 '1000 ' 0x10 010 1x 1001 -1001 + '' '1 2' ' ' 99999999999; do
	if printf -- "$text" >/proc/self/oom_score_adj 2>/dev/null; then r=taken; else r=refused; fi
	echo "'$text' $r"
done
sh -c 'printf " 250 \n" >/proc/$$/oom_score_adj; cat /proc/$$/oom_score_adj'
