#!/bin/sh
# Runs a scan in a Kubernetes cluster: certificate, scheduler, workers, the driver as a job; shows what it says; takes all away.
#
#     sh recipes/kubernetes/run.sh
#
# Before: push an image (Containerfile), and name it, the parts and the results in kustomization.yaml. Where pods have no role of
# their own that opens the bucket, give them credentials, which stay in the cluster:
#
#     kubectl create namespace takeout-index
#     kubectl -n takeout-index create secret generic takeout-index-bucket --from-literal=AWS_ACCESS_KEY_ID=... --from-literal=...
#
# More workers, or fewer, at any time: kubectl -n takeout-index scale deployment takeout-index-workers --replicas=50
set -eu
here=$(dirname "$0")
namespace=takeout-index
certificates=$(mktemp -d)
trap 'rm -r "$certificates"' EXIT
sh "$here/../certificate.sh" "$certificates"
kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f -
kubectl -n "$namespace" create secret generic takeout-index-tls --dry-run=client -o yaml \
    --from-file="$certificates/ca.pem" --from-file="$certificates/dask.pem" --from-file="$certificates/dask-key.pem" |
    kubectl apply -f -
kubectl apply -k "$here"
# Whatever becomes of the job; what it said is asked for again where the pod was another one meanwhile.
until kubectl -n "$namespace" get job takeout-index -o 'jsonpath={.status.conditions[*].type}' | grep -qE 'Complete|Failed'; do
    kubectl -n "$namespace" logs --follow job/takeout-index || sleep 5
done
ended=$(kubectl -n "$namespace" get job takeout-index -o 'jsonpath={.status.conditions[*].type}')
kubectl delete -k "$here" --wait=false
kubectl -n "$namespace" delete secret takeout-index-tls
case $ended in *Failed*) exit 1 ;; esac
