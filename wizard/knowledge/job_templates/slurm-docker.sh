#!/bin/bash
# A training of OpenSeq2Seq for Slurm, in a container of the node's own Docker: sbatch THIS-FILE
# Submitted again, or requeued after a preemption, it goes on from the last checkpoint.
# Docker pulls the image with the credentials that your account has on the node; no key is in this file.
#SBATCH --job-name=@NAME@
#SBATCH --nodes=1
#SBATCH --ntasks=1
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

# Slurm does not know the container, which belongs to Docker: it has to go when the job ends before its time.
container=@NAME@-$SLURM_JOB_ID
trap 'docker rm --force "$container" >/dev/null 2>&1; exit 143' TERM INT
docker rm --force "$container" >/dev/null 2>&1 || : # left by a run of this job that could not tidy up

# A Docker that may not raise limits itself refuses the container: one that does nothing tells.
memlock=--ulimit=memlock=-1
docker run --rm --name "$container" "$memlock" --entrypoint true @IMAGE@ &
wait $! || { echo "Docker here does not allow unlimited locked memory: the training runs without it." >&2; memlock=; }

docker run --rm --name "$container" \
  --gpus "\"device=$SLURM_JOB_GPUS\"" --env NVIDIA_DRIVER_CAPABILITIES=compute,utility \@?GPUS@
  --env NVIDIA_VISIBLE_DEVICES=@WITHOUT_GPUS@ \
  --shm-size @SHM@ \
  ${memlock:+"$memlock"} \
  --ulimit stack=@STACK@ \
  --mount type=bind,source=@DATA@,target=@TARGET@ \
  --env PYTHONUNBUFFERED=1 \
  --env OMPI_MCA_btl_vader_single_copy_mechanism=none \
  @IMAGE@ \
  sh -c "$train" train @CODE@ @LOGDIR@ \
  @COMMAND@ &
wait $!
