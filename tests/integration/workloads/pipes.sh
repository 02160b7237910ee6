# SPDX-License-Identifier: Apache-2.0
# What shell scripts do: pipes, jobs, traps, substitutions, files. For bash.
set -u
seq 1 2000 | sort -rn | head -5 | tr '\n' ' '; echo
printf '%s\n' {a..e}{1..3} | paste -sd, | sed 's/,/;/g'
declare -A table=([one]=1 [two]=2)
for key in "${!table[@]}"; do echo "$key=${table[$key]}"; done | sort
f() {
    local n=$1
    (( n < 2 )) && { echo "$n"; return; }
    echo $(( $(f $((n - 1))) + $(f $((n - 2))) ))
}
f 9
cat <<END | while read -r line; do echo "<$line>"; done
a here document
with $((6 * 7)) lines
END
diff <(seq 1 5) <(seq 2 6); echo "diff $?"
(exit 3); echo "status $?"
false | true | (exit 4); echo "${PIPESTATUS[*]}"
trap 'echo trapped' USR1; kill -USR1 $$; trap 'echo bye' EXIT
for i in 1 2 3; do (sleep 0.0$i; exit $i) & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid"; echo "waited $?"; done
sleep 60 & sleep 0.5; kill $!; wait $!; echo "killed $?"
bash -c 'kill -SEGV $$'; echo "died $?"
coproc { read -r x; echo "got $x"; }
echo hello >&${COPROC[1]}; read -r answer <&${COPROC[0]}; echo "$answer"
mkdir d && echo text >d/f && cp d/f d/g && mv d/g d/h && ln -s h d/l
cat d/l && wc -c <d/h && ls d
[[ abc =~ ^(a)(.*)$ ]] && echo "${BASH_REMATCH[2]}"; echo "${PATH%%:*}" | md5sum
nothing-like-this 2>/dev/null; echo "not found $?"
[ -t 0 ] || echo "no terminal"; ulimit -n 100; ulimit -n
