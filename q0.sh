for f in office_realsense hololens; do bash adrun.sh 0 ${G:-mid} $f 0; done; bash adrun.sh 0 mid hololens 1; bash adrun.sh 0 mid hololens 2
