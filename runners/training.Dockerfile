# The image that trains: a CUDA toolkit (DeepSpeed compiles its kernels at their first use), Python 3.11, torch by its pin.
#
#   python -m build
#   docker build -f runners/training.Dockerfile -t YOUR-REGISTRY/corpusmill/training:0.1.0 .
#   docker run --gpus all --ipc=host -v $PWD:/workspace YOUR-REGISTRY/corpusmill/training:0.1.0 \
#       dvc repro --single-item pretrain
#
# The workspace is mounted: params.yaml, versions.yaml and data/ are the checkout's, the code is the image's.
FROM nvidia/cuda:13.0.0-devel-ubuntu22.04

ENV DEBIAN_FRONTEND=noninteractive PATH=/opt/corpusmill/bin:$PATH UV_PYTHON_INSTALL_DIR=/opt/python
RUN apt-get update && apt-get install -y --no-install-recommends git openssh-client pdsh python3-pip \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m pip install --no-cache-dir uv \
    && uv venv --python 3.11 --seed /opt/corpusmill

COPY constraints.txt dist/corpusmill-0.1.0-py3-none-any.whl /opt/corpusmill-files/
# torch first and by its exact pin: DeepSpeed's build asks for it, and an open range may take another build.
RUN pip install --no-cache-dir -c /opt/corpusmill-files/constraints.txt pip setuptools wheel \
    && pip install --no-cache-dir -c /opt/corpusmill-files/constraints.txt torch==2.13.0 \
    && DS_BUILD_OPS=0 pip install --no-cache-dir --no-build-isolation -c /opt/corpusmill-files/constraints.txt \
        "/opt/corpusmill-files/corpusmill-0.1.0-py3-none-any.whl[train,flow]"

WORKDIR /workspace
