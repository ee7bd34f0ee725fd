# The image of Beam's workers: Beam's own for this Python and this Beam, every package at its pinned version, the project.
#
#   python -m build
#   docker build -f runners/worker.Dockerfile -t YOUR-REGISTRY/corpusmill/worker:0.1.0 .
#
# A worker refuses to work with other versions, or another source, than the machine that launches the job.
FROM apache/beam_python3.11_sdk:2.77.0

COPY constraints.txt dist/corpusmill-0.1.0-py3-none-any.whl /opt/corpusmill/
RUN pip install --no-cache-dir -c /opt/corpusmill/constraints.txt \
        /opt/corpusmill/corpusmill-0.1.0-py3-none-any.whl \
    && python -c "import pipelines.extract, pipelines.clean, pipelines.dedup, pipelines.shard, pipelines.count, pipelines.pack"

# The entry point stays Beam's, /opt/apache/beam/boot: it starts the worker, or a pool of them with --worker_pool.
