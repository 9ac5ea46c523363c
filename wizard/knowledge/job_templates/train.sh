# sh -c THIS train CODE LOGDIR COMMAND...: runs the command in the folder CODE. What LOGDIR holds decides how:
# with a checkpoint, the training goes on from it, unless it is one of another configuration, which ends the job (2);
# what has none was left by a start that failed, and is moved aside, never deleted; with nothing, the training begins.
set -eu
ulimit -s 65536 2>/dev/null || :
ulimit -l unlimited 2>/dev/null || :
cd "$1" && [ -f run.py ] || { echo "There is no OpenSeq2Seq in $1." >&2; exit 2; }
logs=$2
shift 2
last=$(sed -n 's/^model_checkpoint_path: "\(.*\)"$/\1/p' "$logs/logs/checkpoint" 2>/dev/null || :)
if [ -n "$last" ] && [ -f "$logs/logs/${last##*/}.index" ]; then
  # OpenSeq2Seq keeps the command of every run beside its log; the newest training's has to name the same file.
  config=$(printf '%s\n' "$@" | sed -n 's/^--config_file=\(.*\/\)*//p')
  trained=$(for said in "$logs"/cmd-args_*.log; do cat "$said" && echo; done 2>/dev/null | grep -e '--mode[= ]train' | tail -n 1)
  case ${trained:+"$trained "} in
  '' | *[/=\ ]"$config "*) ;;
  *) echo "$logs holds another configuration's training. Give this one a --logdir of its own: $trained" >&2; exit 2 ;;
  esac
  echo "The training goes on from ${last##*/}." >&2
  set -- "$@" --continue_learning
elif [ -n "$(ls -A "$logs" 2>/dev/null)" ]; then
  aside=$logs.failed-$(date -u +%Y%m%d-%H%M%S)
  echo "There is no checkpoint in $logs: moved to $aside." >&2
  mv "$logs" "$aside"
fi
exec "$@"
