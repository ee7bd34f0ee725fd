#!/bin/bash
# Pretraining under Slurm, one task a GPU, over as many time limits as it takes: docs/cluster.md.
#
#   sbatch runners/slurm.sh                      from the workspace, on a disk that all machines see
#   sbatch --nodes=16 --time=12:00:00 runners/slurm.sh --logs /scratch/logs
#
#SBATCH --job-name=pretrain
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.txt
#
# --gpus-per-node and not --gpus-per-task: each task takes the GPU of its number and must see all of its machine.
# --signal without "B:": the tasks get SIGUSR1, 300 s before the limit. They save after the step they are in and end
# with status 75; longer than a step, an evaluation and a checkpoint take. The job is then queued again and goes on from
# there. To end it for good: scancel, which the tasks hear as SIGTERM and this script does not outlive.
set -euo pipefail

MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000)) # two jobs on one machine meet at two ports
export MASTER_ADDR MASTER_PORT
# Since Slurm 22.05 srun does not take --cpus-per-task from sbatch: each task would get one core.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}
# Shards that lie in an object store are copied to each machine's own disk once.
export CORPUSMILL_LOCAL_CACHE=${CORPUSMILL_LOCAL_CACHE:-${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/corpusmill-objects}
# export NCCL_SOCKET_IFNAME=ib0   # where a machine has several networks
# export NCCL_DEBUG=INFO          # which network NCCL took

# --wait: a task that dies ends the others when they next meet; who has not noticed by then is killed.
status=0
srun --wait=120 "${PYTHON:-.venv/bin/python}" -m train.pretrain --input data/pack \
    --tokenizer data/learn/tokenizer.json --output data/pretrain --ledger data/pretrain/ledger.json "$@" || status=$?

if [ "$status" -eq 75 ]; then # EX_TEMPFAIL: saved, not finished
    scontrol requeue "$SLURM_JOB_ID" || echo "saved, and not queued again: sbatch it by hand" >&2
fi
exit "$status"
