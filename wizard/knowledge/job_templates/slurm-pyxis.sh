#!/bin/bash
# A training of OpenSeq2Seq for Slurm with pyxis and enroot: sbatch THIS-FILE
# Submitted again, or requeued after a preemption, it goes on from the last checkpoint.
# An image that wants an account: enroot reads the file .credentials in ~/.config/enroot, which only you can write
# (chmod 600), with two lines for nvcr.io:
#   machine nvcr.io login $oauthtoken password YOUR_KEY
#   machine authn.nvidia.com login $oauthtoken password YOUR_KEY
#SBATCH --job-name=@NAME@
#SBATCH --nodes=@NODES@
#SBATCH --ntasks-per-node=@SLOTS@
#SBATCH --gres=gpu:@GPUS@
#SBATCH --time=@TIME@
#SBATCH --partition=@QUEUE@
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
set -eu

read -r -d '' train <<'END' || :
@TRAIN@
END

# The log folder is looked at once, here; then srun starts one process for each GPU on every node. Shared memory and
# limits are those of the node: enroot brings in its /dev/shm, and srun hands on what "ulimit" says here.
export PYTHONUNBUFFERED=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none
exec sh -c "$train" train @HOST_CODE@ @HOST_LOGDIR@ \
  srun --mpi=pmix --kill-on-bad-exit=1 \
  --container-image=@IMAGE@ \
  --container-mounts=@DATA@:@TARGET@ \
  --container-workdir=@CODE@ \
  --container-writable --no-container-mount-home \
  @COMMAND@
