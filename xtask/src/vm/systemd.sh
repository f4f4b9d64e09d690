# The machine's first process becomes systemd, with no more units than a bus for the system, and a manager with a bus for
# each user. The job runs in a scope, as what somebody types after a login does.
units=/run/systemd/system
$b mkdir -p $units /run/systemd/user /run/user/0 "/run/user/$uid" /run/dbus
$b chown "$uid:$gid" "/run/user/$uid" && $b chmod 700 /run/user/*
$b mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup

bus() {
    printf '[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=%s\n' "$2" >$1/dbus.socket
    cat >$1/dbus.service <<END
[Unit]
DefaultDependencies=no
Requires=dbus.socket
After=dbus.socket
[Service]
Type=notify
ExecStart=/usr/bin/dbus-daemon $3 --address=systemd: --nofork --nopidfile
END
}
bus $units /run/dbus/system_bus_socket --system
bus /run/systemd/user %t/bus --session
printf '[Unit]\nDefaultDependencies=no\nRequires=dbus.service\nAfter=dbus.service\n' >/run/systemd/user/buses.target

cat >$units/user@.service <<END
[Unit]
DefaultDependencies=no
[Service]
User=%i
Type=notify
Slice=user-%i.slice
Delegate=pids memory cpu io
Environment=XDG_RUNTIME_DIR=/run/user/%i
ExecStart=/lib/systemd/systemd --user --unit=buses.target
END
cat >$units/job.service <<END
[Unit]
DefaultDependencies=no
Requires=dbus.service user@$uid.service
After=dbus.service user@$uid.service
[Service]
Type=oneshot
StandardOutput=file:/dev/ttyS1
StandardError=file:/dev/ttyS1
ExecStart=/usr/bin/systemd-run --quiet --scope --slice=user-0.slice --unit=session-1 $b sh /job/session again
END
exec /lib/systemd/systemd --unit=job.service
