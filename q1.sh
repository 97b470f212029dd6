for s in 0 1 2; do for f in bonn redkitchen; do bash adrun.sh 1 train $f $s; done; done
