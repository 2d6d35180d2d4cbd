#!/bin/sh
# Several machines without a queue: start this on each of them, with the same words but for the number of the machine.
# Tried with two processes as two machines on the loopback device (tests/test_ranks.py), not yet on real machines.
#
#   NODES=2 NODE=0 MAIN=10.0.0.1 scripts/cluster/torchrun.sh --method cyclegan --data horse2zebra --out /shared/run
#   NODES=2 NODE=1 MAIN=10.0.0.1 scripts/cluster/torchrun.sh --method cyclegan --data horse2zebra --out /shared/run
#
# NODES: machines. NODE: this one's number, from 0. MAIN: address of number 0, PORT: a free port there.
# GPUS: processes on each machine, one GPU each. The run folder (--out) and the data must be on a disk that all see.
set -e
exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes "${NODES:?how many machines}" \
  --node-rank "${NODE:?number of this machine, from 0}" \
  --master-addr "${MAIN:?address of machine 0}" \
  --master-port "${PORT:-29500}" \
  --nproc-per-node "${GPUS:-1}" \
  -m img2img train "$@"
