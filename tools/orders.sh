#!/usr/bin/env bash
# Writes the table of internal/schedule/testdata/orders.txt between the lines
# <!-- orders:begin --> and <!-- orders:end --> of README.md and docs/*.md. With
# --check it writes nothing, and fails if the table there is another.
set -euo pipefail
cd "$(dirname "$0")/.."

scenarios=internal/schedule/testdata/orders.txt
begin='<!-- orders:begin -->' end='<!-- orders:end -->'

# One row for each line that a scenario prints. The best of three times is bold.
table() {
	awk '
	function plural(n, what) { return n " " what (n == 1 ? "" : "s") }
	function row(work, o, b, line) {
		line = "| " work " | " label " |"
		for (o = 1; o <= 3; o++) {
			b = best(orders[o])
			line = line " " b time[orders[o], label] b " |"
		}
		print line
	}
	function best(order, o, less) {
		less = ""
		for (o = 1; o <= 3; o++) {
			if (time[orders[o], label] + 0 < time[order, label] + 0) return ""
			if (time[orders[o], label] + 0 > time[order, label] + 0) less = "**"
		}
		return less
	}
	function flush(i) {
		for (i = 1; i <= labels; i++) {
			label = names[i]
			row(i == 1 ? work : "")
		}
		labels = 0
		printed = 0
	}
	BEGIN {
		split("fair fifo backlog", orders)
		print "| work | | `Fair` | `FIFO` | `Backlog` |"
		print "| --- | --- | --- | --- | --- |"
	}
	/^scheduler / { work = "" }
	/^submit / {
		if ($3 == "keys") {
			key = $4
			each = $5 == "x" ? $6 : 1
			sub(/\*$/, "", key)
			part = $2 " " (key == "key" ? "" : key " ") "keys"
		} else {
			each = $3 == "x" ? $4 : 1
			part = "key " $2
		}
		part = part " with " (work == "" ? plural(each, "job") : each)
		work = work (work == "" ? "" : ", then ") part
	}
	$0 == "----" { printed = 1; now = "fair, fifo, backlog"; next }
	printed && /^$/ { flush() }
	printed && /^[a-z, ]+:$/ { now = substr($0, 1, length($0) - 1); next }
	printed && /: / {
		label = $0
		sub(/^ +/, "", label)
		value = label
		sub(/: .*/, "", label)
		sub(/.*: /, "", value)
		sub(/s$/, " s", value)
		for (i = labels; i > 0 && names[i] != label; i--);
		if (i == 0) names[++labels] = label
		n = split(now, these, ", ")
		for (i = 1; i <= n; i++) time[these[i], label] = value
	}
	END { flush() }
	' "$scenarios"
}

found=0
for file in README.md docs/*.md; do
	grep -qxF "$begin" "$file" || continue
	found=1
	new=$(table | awk -v begin="$begin" -v end="$end" '
		FILENAME == "-" { table = table $0 "\n"; next }
		$0 == end       { inside = 0; closed = 1 }
		!inside         { print }
		$0 == begin     { inside = 1; printf "\n%s\n", table }
		END             { exit !closed }
	' - "$file") || { echo "$file: there is no $end" >&2; exit 1; }
	if [ "${1-}" != --check ]; then
		printf '%s\n' "$new" >"$file"
	elif ! diff "$file" <(printf '%s\n' "$new"); then
		echo "$file: run make docs, which writes the table of $scenarios" >&2
		exit 1
	fi
done
[ "$found" -eq 1 ] || { echo "$begin stands in no page" >&2; exit 1; }
