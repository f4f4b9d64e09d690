#!/busybox sh
# First program of the machine: builds the root directory and hands over to it.
# The host's root comes by 9p and cannot be written; what the machine writes goes to memory.
b=/busybox
$b mkdir -p /proc /sys /dev /host /top /root
$b mount -t proc proc /proc && $b mount -t devtmpfs dev /dev
stop() { echo "init: $*" >/dev/ttyS0; $b poweroff -f; }
while read -r module; do $b insmod "/modules/$module" || stop "$module does not load"; done </modules/order
p9=trans=virtio,version=9p2000.L,msize=512000
$b mount -t 9p -o $p9,ro,cache=loose host /host || stop "no share of the host's root"
$b mount -t tmpfs -o mode=755 top /top && $b mkdir /top/upper /top/work
$b mount -t overlay -o lowerdir=/host,upperdir=/top/upper,workdir=/top/work root /root || stop "no overlay"
$b mkdir -p /root/proc /root/sys /root/dev /root/tmp /root/run /root/job
$b mount -t proc proc /root/proc
$b mount -t sysfs sysfs /root/sys
$b mount -t devtmpfs dev /root/dev
$b mkdir -p /root/dev/pts /root/dev/shm
$b mount -t devpts -o ptmxmode=666 devpts /root/dev/pts
$b mount -t tmpfs -o mode=1777 shm /root/dev/shm
$b mount -t tmpfs -o mode=1777 tmp /root/tmp
$b mount -t tmpfs -o mode=755 run /root/run
$b mount -t 9p -o $p9 job /root/job || stop "no share of the job"
. /root/job/settings
# A project in a directory that the machine has its own of must be there all the same.
case $PROJECT in
/tmp/* | /run/*) $b mkdir -p "/root$PROJECT" && $b mount -o bind "/host$PROJECT" "/root$PROJECT" ;;
esac
$b mkdir -p "/root/lib/modules/$($b uname -r)"
$b mount -o bind "/host$MODULES" "/root/lib/modules/$($b uname -r)"
$b cp /busybox /root/run/busybox
exec $b switch_root /root /run/busybox sh /job/session
