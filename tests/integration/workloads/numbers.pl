# SPDX-License-Identifier: Apache-2.0
# Sorts, formats, matches, packs, forks and waits; any perl 5 prints the same.
use strict; use warnings;
my ($seed, @numbers) = (1);
for (1 .. 20000) { $seed = ($seed * 1103515245 + 12345) % 2147483648; push @numbers, $seed; }
my %count; $count{$_ % 97}++ for @numbers;
my @order = sort { $count{$b} <=> $count{$a} || $a <=> $b } keys %count;
print join(",", map { "$_=$count{$_}" } @order), "\n";
printf "%.15g %s %s\n", eval { my $s = 0; $s += sqrt $_ for @numbers; $s }, 10 / 3, 1e21 + 1;
my $text = join " ", map { sprintf "%x", $_ } @numbers[0 .. 999];
my $n = () = $text =~ /([a-f])\d+\1/g; print "$n ", ($text =~ tr/a-f//), "\n";
(my $copy = $text) =~ s/(\w+) (\w+)/$2 $1/g; print substr($copy, 0, 200), "\n";
print unpack("H*", pack("NnCd>w", 1, 2, 3, 1.5, 1 << 40)), " ", crypt_free(), "\n";
sub crypt_free { my $h = 5381; $h = ($h * 33 + ord) & 0xffffffff for split //, $text; return $h; }
my @sorted = sort { $a <=> $b } @numbers; print "@sorted[0 .. 4] @sorted[-5 .. -1]\n";
open(my $pipe, "-|", "echo from a pipe") or die; print <$pipe>; close $pipe;
my $pid = fork // die; if (!$pid) { exit 9 } waitpid $pid, 0; print $? >> 8, "\n";
local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select undef, undef, undef, 5;
print join("|", map { ucfirst lc } "some WORDS here" =~ /\w+/g), " ", "a" x 5, "\n";
my @nested = ([1, [2, 3]], { k => [4] }); print $nested[0][1][1] + $nested[1]{k}[0], "\n";
