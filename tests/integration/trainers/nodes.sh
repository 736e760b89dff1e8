# Two nodes with so many processes each: nodes.sh PROCESSES ARGUMENTS…
n=$1; shift
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
for node in 0 1; do
  torchrun --nnodes=2 --node-rank=$node --nproc-per-node=$n --master-addr=127.0.0.1 --master-port=$port "$@" &
done
wait
