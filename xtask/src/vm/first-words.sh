# What every machine is asked first, as root and as an ordinary user: does a run work, held by what is expected, or
# is it refused in words that help; and does `ringfence doctor` see it the same way.
run() {
    $as "$bin/ringfence" run --json -c 'echo hello' >/tmp/said 2>/tmp/told
    run=$?
    if [ "$holds" = refused ]; then
        [ $run = 125 ] && grep -q namespaces /tmp/told && grep -q '"outcome":"\(refused\|failed\)"' /tmp/said
    else
        [ $run = 0 ] && grep -q '"text":"hello\\n"' /tmp/said && grep -q "\"backend\":\"$holds\"" /tmp/said
    fi
}

plain() {
    $as "$bin/ringfence" run -c 'echo hello; exit 7' >/tmp/said 2>/tmp/told
    run=$?
    if [ "$holds" = refused ]; then
        [ $run = 125 ] && [ ! -s /tmp/said ] && [ -s /tmp/told ]
    else
        [ $run = 7 ] && [ "$(cat /tmp/said)" = hello ]
    fi
}

# Where a control group is delegated the kernel keeps the limits of a tree and says so; elsewhere it is looked at.
limit() {
    report "$@"
    [ "$holds" != refused ] || return 0
    grep -q "\"limit\":{\"resource\":\"$resource\",\"reason_code\":\"${resource}_limit_exceeded\"" /tmp/said &&
        grep -q "\"evidence\":\"$evidence\"" /tmp/said
}

memory() {
    resource=memory
    limit --memory 64MiB --timeout 60s -- dd if=/dev/zero of=/dev/null bs=300M count=1000 &&
        { [ "$holds" = refused ] || grep -q "\"memory\":\"$kept" /tmp/said; }
}

# What fills memory slowly enough for a look is named.
hog() {
    report --memory 64MiB --timeout 60s -- tail /dev/zero
    [ "$holds" = refused ] || grep -q '"resource":"memory".*"program":"tail"' /tmp/said
}

# A parent that goes on as if nothing had happened.
grandchild() {
    resource=memory
    limit --memory 64MiB --timeout 60s -- sh -c \
        'sh -c "dd if=/dev/zero of=/dev/null bs=300M count=1000" & wait; exit 0'
}

# The inner shell gives up when it may not fork; the outer one takes its place, so that a look finds all in use.
forks() {
    resource=processes
    limit --pids 12 --timeout 60s -- sh -c \
        'sh -c "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do sleep 60 & done" || sleep 3'
}

cores() {
    [ "$holds" != refused ] || return 0
    report --cpus 0.5 -- true
    run=$?
    if [ "$evidence" = cgroup ]; then
        [ $run = 0 ] && grep -q '"cpu_cores":"full"' /tmp/said
    else
        [ $run = 125 ] && grep -q 'control group' /tmp/told
    fi
}

# In a container whose filter does not know how a process is born in a group. The kernel keeps the limit all the same, and a run
# without a group is none the worse.
older_filter() {
    [ "$holds" != refused ] || return 0
    outer=$as
    as="$outer $bin/attacker without 435 38"
    resource=memory
    limit --memory 64MiB --timeout 60s -- tail /dev/zero && grep -q "\"memory\":\"$kept" /tmp/said && run
    done=$? as=$outer
    return $done
}

# Where programs in memory may not be executed, too (Linux 6.3).
older_filter_and_no_memory() {
    noexec=/proc/sys/vm/memfd_noexec
    [ -e $noexec ] || return 0
    echo 2 >$noexec
    run && older_filter
    done=$?
    echo 0 >$noexec
    return $done
}

# A megabyte a second on a disk of the machine's own. The root lies on no disk, so that is only a part.
bandwidth() {
    [ "$holds" != refused ] || return 0
    rm -f /srv/disk/w/f
    write="dd if=/dev/zero of=/srv/disk/w/f bs=1M count=4 oflag=direct"
    printf '[profiles.slow]\nmax_io_write_mb_per_second = 1\n' >/srv/tests/slow.toml
    report --config /srv/tests/slow.toml -p slow -w /srv/disk/w -- $write
    run=$?
    if [ "$evidence" != cgroup ]; then
        [ $run = 125 ] && grep -q 'control group' /tmp/told
        return
    fi
    slow=$(sed 's/.*"duration_ms":\([0-9]*\).*/\1/' /tmp/said)
    [ $run = 0 ] && grep -q '"io":"partial' /tmp/said && grep -q '"pressure":{"memory":{"some_us":' /tmp/said || return 1
    report -w /srv/disk/w -- $write || return 1
    fast=$(sed 's/.*"duration_ms":\([0-9]*\).*/\1/' /tmp/said)
    echo "four megabytes: $fast ms, with a limit $slow ms" >>/tmp/told
    [ "$slow" -ge 2500 ] && [ "$fast" -lt "$slow" ]
}

# No disk lies behind a directory in memory.
diskless() {
    [ "$holds" != refused ] || return 0
    report --config /srv/tests/slow.toml -p slow -- true
    [ $? = 125 ] && grep -q 'control group\|no disk' /tmp/told
}

# Nothing of a run is left in the hierarchy, but the seat of nobody.
tidy() {
    find /sys/fs/cgroup -type d -name 'ringfence-*' >/tmp/said 2>/tmp/told
    [ ! -s /tmp/said ]
}

# A supervisor that is killed leaves its group; the next one removes it.
swept() {
    [ "$evidence" = cgroup ] && [ "$holds" != refused ] || return 0
    $as "$bin/ringfence" run -c 'sleep 600' >/tmp/said 2>/tmp/told &
    killed=$!
    tries=0
    until find /sys/fs/cgroup -type d -name 'ringfence-0*' | grep -q . || [ $tries = 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    [ $tries -lt 100 ] || echo "no group was made" >>/tmp/told
    kill -KILL $killed
    wait $killed 2>/dev/null
    [ $tries -lt 100 ] && $as "$bin/ringfence" run -c 'true' >/tmp/said 2>/tmp/told && tidy
}

# Alone in its own group ringfence moves into a child of it, and back.
alone() {
    [ "$by_user" = cgroup ] && [ "$holds" != refused ] || return 0
    group=/sys/fs/cgroup$(dirname "$(cut -d: -f3 /proc/self/cgroup)")/alone
    $as mkdir "$group" && $as sh -c "echo \$\$ >$group/cgroup.procs && exec $bin/ringfence run --json -c true" \
        >/tmp/said 2>/tmp/told && grep -q '"memory":"full"' /tmp/said && tidy && rmdir "$group"
}

doctor() {
    $as "$bin/ringfence" doctor >/tmp/said 2>/tmp/told
    [ $? -le 125 ] && grep -q user_namespaces /tmp/said && grep -q landlock /tmp/said
}

for as in "" "$user"; do
    who=${as:+an ordinary user}
    evidence=$by_root
    [ -z "$as" ] || evidence=$by_user
    kept='partial: sampled'
    [ "$evidence" = sampled ] || kept=full
    check "run --json, as ${who:-root}" run
    check "run, as ${who:-root}" plain
    check "doctor, as ${who:-root}" doctor
    check "the limit of memory, as ${who:-root}" memory
    check "the limit of memory for a grandchild, as ${who:-root}" grandchild
    check "the limit of processes, as ${who:-root}" forks
    check "who fills the memory, as ${who:-root}" hog
    check "cores, as ${who:-root}" cores
    check "no birth in a group, as ${who:-root}" older_filter
    check "no birth in a group and no programs in memory, as ${who:-root}" older_filter_and_no_memory
    check "bandwidth, as ${who:-root}" bandwidth
    check "bandwidth of no disk, as ${who:-root}" diskless
    check "no group of a killed supervisor, as ${who:-root}" swept
    check "a group to itself, as ${who:-root}" alone
    check "no group of a run, as ${who:-root}" tidy
done
cat /tmp/said
echo "suite: $passed passed, $failed failed, 0 skipped"
