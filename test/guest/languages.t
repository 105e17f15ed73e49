# perl, awk, bash.
# needs: perl gawk bash
perl -e '
	my %h; $h{$_ % 1000} .= "x" for 1 .. 200000;
	print scalar(keys %h), " ", length($h{7}), "\n";
	my $s = join ",", map { $_ ** 2 } grep { $_ % 3 == 0 } 1 .. 20; print "$s\n";
	my $pid = fork; if (!$pid) { exit 9 } waitpid $pid, 0; print $? >> 8, "\n";
	open my $f, "-|", "echo from a child" or die; print <$f>; close $f;
	local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select undef, undef, undef, 3;
	print "ok\n" if ("abc" x 100000) =~ /c(abc)+$/;
	sub fib { my $n = shift; $n < 2 ? $n : fib($n - 1) + fib($n - 2) } print fib(18), "\n";
'
gawk 'BEGIN { for (i = 0; i < 100000; i++) a[i % 777] += i; for (i = 0; i < 5; i++) print a[i]; printf "%.6f\n", atan2(0, -1); "echo sub" | getline x; print x; system("exit 3") }'
awk 'BEGIN { while (i++ < 50000) s = s "y"; print length(s) }'
bash -c '
	declare -A m; for i in {1..3000}; do m[k$((i % 50))]+=x; done; echo ${#m[@]} ${#m[k1]}
	mapfile -t lines < <(seq 1 1000); echo ${#lines[@]} ${lines[999]}
	coproc cat; echo hi >&${COPROC[1]}; read -u ${COPROC[0]} l; echo $l; kill $COPROC_PID; wait 2>/dev/null
	trap "echo int" INT; kill -INT $$; set -o pipefail; false | true; echo $?
	(sleep 5 & kill %1; wait %1) 2>/dev/null; echo "status $?"
	time -p true 2>/dev/null; printf "%s\n" {a..e}{1..3} | md5sum
	for i in 1 2 3; do echo job $i & wait; done; [[ abc =~ ^a(.)c$ ]] && echo ${BASH_REMATCH[1]}
' 2>/dev/null
