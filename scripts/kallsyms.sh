#!/usr/bin/perl -w
# kallsyms.sh [KERNEL] - the table of the text symbols of a linked kernel (lib/symbols.h), in assembler, on standard output; without a
# kernel an empty table, for the first link.
use strict;
use constant { MARKED => 16, NAME_MAX => 127 }; # lib/symbols.h, include/quire/symbol.h
my $nm = $ENV{NM} // 'nm';
my (@symbols, $start);
if (@ARGV) {
	open my $f, '-|', $nm, $ARGV[0] or die "kallsyms.sh: $nm: $!\n";
	while (<$f>) {
		my ($address, $type, $name) = /^([0-9a-f]{16}) ([TtWw]) (\S+)$/ or next;
		die "kallsyms.sh: $name: longer than " . NAME_MAX . " characters\n" if length $name > NAME_MAX;
		$start = $address if $name eq '__text_start';
		push @symbols, [$address, $type, $name, $name =~ /^__/ ? 1 : 0];
	}
	close $f or die "kallsyms.sh: $nm $ARGV[0] failed\n";
	die "kallsyms.sh: $ARGV[0]: no __text_start\n" if !defined $start;
}
# Of several at one address the first is shown: rather a function than the linker script's marks.
@symbols = sort { $a->[0] cmp $b->[0] || $a->[3] <=> $b->[3] || $a->[2] cmp $b->[2] } @symbols;

print "\t.section .kallsyms, \"a\"\n\t.balign 4\n";
print "\t.globl kallsyms_offsets, kallsyms_offsets_end, kallsyms_markers, kallsyms_names\n";
print "kallsyms_offsets:\n";
print "\t.long 0x$_->[0] - 0x$start\n" for @symbols;
print "kallsyms_offsets_end:\nkallsyms_markers:\n";
my $at = 0;
for my $i (0 .. $#symbols) {
	print "\t.long $at\n" if $i % MARKED == 0;
	$at += length($symbols[$i][2]) + 2;
}
print "kallsyms_names:\n";
print "\t.asciz \"$_->[1]$_->[2]\"\n" for @symbols;
