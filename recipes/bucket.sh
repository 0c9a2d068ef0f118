#!/bin/sh
# Scans archives in a bucket, from a machine near it: what they hold and what it takes first, then the scan.
#
#     sh recipes/bucket.sh OUTPUT INPUT...
#     sh recipes/bucket.sh s3://bucket/index s3://bucket/takeout-001.zip s3://bucket/takeout-002.zip
#
# Needs `pip install 'takeout-index[s3]'` ([gs] and [az] for the other ones), and your credentials where their own programs look:
# environment, files, or the role of the machine. Of zips about one hundredth is moved; a tgz is moved whole. THREADS (64) wait for
# answers at the same time. Set DASK_SCHEDULER_ADDRESS to have a cluster do it; workers then need the same access, and nothing else.
# Set TAKEOUT_INDEX to how the program is called, if that is not `takeout-index`.
set -eu
output=$1
shift
index=${TAKEOUT_INDEX:-takeout-index}
$index plan "$@"
exec $index scan "$@" -o "$output" --threads "${THREADS:-64}"
