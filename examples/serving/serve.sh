#!/usr/bin/env bash
# Serves the models of a folder with the stock TensorFlow Serving, on this machine only:
# REST on port 8501, gRPC on port 8500. Stop it with Ctrl-C.
#
#     examples/serving/serve.sh [FOLDER]      # saved_models by default
#
# IMAGE=tensorflow/serving:2.19.1 (say) takes another version of the server.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(cd "${1:-$root/saved_models}" && pwd)

if [ ! -f "$folder/models.config" ]; then
    echo "$folder has no models.config: run examples/serving/export.py first." >&2
    exit 1
fi
if ! command -v docker >/dev/null; then
    echo "docker is missing: see https://docs.docker.com/get-started/get-docker/" >&2
    exit 1
fi
if ! docker info >/dev/null 2>&1; then
    echo "docker is here, but no daemon answers it: start it, or see 'docker info'." >&2
    exit 1
fi

exec docker run --rm --init \
    --publish 127.0.0.1:8500:8500 --publish 127.0.0.1:8501:8501 \
    --volume "$folder:/models:ro" \
    "${IMAGE:-tensorflow/serving}" \
    --model_config_file=/models/models.config \
    --model_config_file_poll_wait_seconds=60 \
    --enable_batching --enable_per_model_batching_parameters
