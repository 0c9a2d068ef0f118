#!/bin/sh
# Makes a certificate for one Dask cluster in the folder DIR: ca.pem, dask.pem and dask-key.pem.
#
#     sh recipes/certificate.sh DIR
#
# Whoever has dask.pem and dask-key.pem can run code on the cluster: keep them for your own eyes. The authority's key is
# forgotten at once, so that nobody can ever make another certificate that the cluster takes.
set -eu
umask 077
mkdir -p "$1"
cd "$1"
key=$(mktemp)
trap 'rm -f "$key" dask.csr' EXIT
openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=takeout-index-authority -keyout "$key" -out ca.pem 2>/dev/null
openssl req -newkey rsa:3072 -nodes -subj /CN=takeout-index -keyout dask-key.pem -out dask.csr 2>/dev/null
openssl x509 -req -in dask.csr -CA ca.pem -CAkey "$key" -set_serial 1 -days 365 -out dask.pem 2>/dev/null
echo "ca.pem, dask.pem and dask-key.pem are in $1, and good for a year"
