# Second stage, inside the root: what a system would have set up by the time somebody logs in, then the command.
b=/run/busybox
PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export PATH
. /job/settings

prepare() {
    $b ip link set lo up
    # A network of its own that leads nowhere: the machine has an address that is not its loopback.
    /run/busybox modprobe dummy
    $b ip link add net0 type dummy && $b ip addr add 192.0.2.1/24 dev net0 && $b ip link set net0 up &&
        $b ip route add default dev net0
    $b hostname vm
    $b ln -s busybox /run/modprobe && echo /run/modprobe >/proc/sys/kernel/modprobe
    $b chmod 666 /dev/ptmx /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty
    $b mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
    $b mount -t mqueue mqueue /dev/mqueue 2>/dev/null
    # Tests need a place outside /tmp that is not an overlay, for an overlay cannot lie on another.
    $b mkdir -p /srv/tests && $b mount -t tmpfs -o mode=755 tests /srv/tests
    # And a disk whose bandwidth can be limited, which is in memory all the same.
    /run/busybox modprobe brd rd_nr=1 rd_size=65536 && /run/busybox modprobe ext4 && mkfs.ext4 -q /dev/ram0 &&
        $b mkdir -p /srv/disk && $b mount -t ext4 /dev/ram0 /srv/disk
    $b grep -q "^$ACCOUNT:" /etc/passwd || useradd --system --user-group --create-home --shell /bin/sh "$ACCOUNT"
    uid=$($b id -u "$ACCOUNT") gid=$($b id -g "$ACCOUNT")
    $b mkdir -p -m 777 /srv/disk/w

    # Control groups as a service manager lays them out: one subtree for each user, theirs where it is delegated.
    [ "$CGROUP" != systemd ] || . /job/systemd
    if [ "$CGROUP" != none ]; then
        top=/sys/fs/cgroup
        $b mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 $top
        service=user.slice/user-$uid.slice/user@$uid.service
        $b mkdir -p $top/$service/app.scope
        for level in . user.slice user.slice/user-$uid.slice $service; do
            for controller in cpu memory pids io; do
                echo +$controller >$top/$level/cgroup.subtree_control 2>/dev/null
            done
        done
        if [ "$CGROUP" = delegated ]; then
            for group in $top/$service $top/$service/app.scope; do
                $b chown $uid:$gid $group $group/cgroup.procs $group/cgroup.threads $group/cgroup.subtree_control
            done
        fi
        echo $$ >$top/$service/app.scope/cgroup.procs
    fi
}

# A service manager calls this a second time, when it is up.
[ "$1" = again ] || prepare
uid=$($b id -u "$ACCOUNT") gid=$($b id -g "$ACCOUNT")
$b cut -d' ' -f1 /proc/uptime >/job/booted
$b stty -F /dev/ttyS1 raw -echo
cd "$PROJECT" || cd /
if [ "$USER_IS" = root ]; then
    HOME=/root USER=root $b setsid /bin/sh /job/command </dev/null >/dev/ttyS1 2>&1
else
    HOME=$($b awk -F: -v name="$ACCOUNT" '$1 == name { print $6 }' /etc/passwd) USER=$ACCOUNT \
        $b setsid /usr/bin/setpriv --reuid=$uid --regid=$gid --clear-groups --inh-caps=-all /bin/sh /job/command \
        </dev/null >/dev/ttyS1 2>&1
fi
echo $? >/job/status
# What is still on its way through the line must arrive before the power goes.
$b stty -F /dev/ttyS1 >/dev/null
$b poweroff -f
