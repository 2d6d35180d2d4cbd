#!/bin/sh
# A job of SLURM: sbatch scripts/cluster/slurm.sh --method cyclegan --data horse2zebra --out /shared/run
# UNTRIED on a real cluster: its words were checked against the variables that SLURM sets (tests/test_ranks.py).
#
#SBATCH --job-name=img2img
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@180
#
# One task a GPU. Three minutes before the end SLURM sends SIGTERM: the training finishes its batch, saves and leaves
# with code 143. After a requeue, or when the job is submitted again, the same line goes on from there.
# The run folder (--out) and the data must be on a disk that all machines see.
set -e
srun --kill-on-bad-exit=1 "${PYTHON:-python}" -m img2img train "$@"
