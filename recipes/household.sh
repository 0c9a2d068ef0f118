#!/bin/sh
# Scans the exports of a household, each by itself, and makes one index of all.
#
#     sh recipes/household.sh RESULTS EXPORT...
#
# An EXPORT is a folder with one person's export in it, unpacked or as zip or tgz parts; its name is that of the library in the index
# (column `library`), so that no two may be called alike, and none `all`. RESULTS/<name> gets the results of each, RESULTS/all the
# index of all. Again, after a new export: only what has changed is read. Set TAKEOUT_INDEX to how the program is called, if that is
# not `takeout-index`.
set -eu
results=$1
shift
index=${TAKEOUT_INDEX:-takeout-index}
twice=$( (echo all; for export in "$@"; do basename "$export"; done) | sort | uniq -d)
if [ -n "$twice" ]; then
    echo "more than one folder is to be called $twice in $results: rename the folder of an export" >&2
    exit 2
fi
for export in "$@"; do
    $index scan "$export" -o "$results/$(basename "$export")" --quiet >/dev/null || [ $? -eq 3 ]  # 3: some files have problems
    set -- "$@" "$results/$(basename "$export")"
    shift
done
$index merge "$@" -o "$results/all"
