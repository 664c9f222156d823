"""The model server: KServe's own Python server around a scikit-learn pipeline, with a durable prediction log.

    python -m lifecycle.model_server --model_name churn --model_dir /mnt/models --http_port 8080

Wire protocols: KServe's V1 (https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol) and the Open Inference
Protocol, V2 (https://github.com/kserve/open-inference-protocol). This package imports nothing else of the project, so that it can become an image.

Environment: `SERVICE_NAME` (default: the model name), `MODEL_VERSION` (default `unversioned`), `PREDICTION_LOG_URI` (such as s3://predictions; unset:
no prediction log), `SPOOL_DIR` (where served rows wait until the bucket has them; default: a folder beside the temporary files) and the usual AWS_*.
"""
