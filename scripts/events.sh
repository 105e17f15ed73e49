#!/usr/bin/perl -w
# events.sh - doc/events.md from mm/trace/events.def: every counter and every event, as declared.
use strict;
open my $f, '<', 'mm/trace/events.def' or die "events.sh: mm/trace/events.def: $!\n";
my (@counters, @events, $total);
while (<$f>) {
	$total++ if /^(?:COUNTER|EVENT\d)\(/;
	push @counters, [$1, $2] if /^COUNTER\(\w+, "(\w+)", "(.*)"\)/;
	push @events, [$1, $2, $3] if /^EVENT\d\((\w+), (\w+)(?:, ([\w, ]+?))?, "(.*)"\)/;
}
die "events.sh: a line of events.def was not understood\n" if $total != @counters + @events;
my ($nc, $ne) = (scalar @counters, scalar @events);
print <<"TEXT";
# Counters and events

Made by `scripts/events.sh` from `mm/trace/events.def`; do not edit. $nc counters feed `/proc/vmstat` and
`quire run --stats`; $ne events go to per-CPU rings in guest memory (`include/quire/header.h`), which `quire run --trace DIR` writes to
`DIR/trace.txt` in ftrace's form. Names and fields are Linux's where Linux has the counter or event; subsystem `quire` is ours.

One decision, one function, one event: `quire:fault` is emitted once for each fault, with what it turned out to be. A ring that is
full counts what it lost, and the text says so where it was lost.

## Counters
| name | counts |
|---|---|
TEXT
print "| `$$_[0]` | $$_[1] |\n" for @counters;
print "\n## Events\n| event | fields |\n|---|---|\n";
print "| `$$_[0]:$$_[1]` | ", join(', ', map { "`$_`" } split /, /, $$_[2] // ''), " |\n" for @events;
