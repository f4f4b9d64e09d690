# Under a service manager, in a scope that is nobody's: a run with limits that were asked for gets a scope of its own from it, as
# root and as an ordinary user, and no other run does.
memory_is() { grep -q "\"memory\":\"$1" /tmp/said; }

# By the kernel, and the cause is named.
kept() {
    report --memory 64MiB --timeout 60s -- dd if=/dev/zero of=/dev/null bs=300M count=1000
    memory_is full && grep -q '"resource":"memory".*"evidence":"cgroup"' /tmp/said
}

cores() { report --cpus 0.5 -- true && grep -q '"cpu_cores":"full"' /tmp/said; }

# Nobody asked for a limit; the config forbids it; there is no bus.
sampled() { report -- true && memory_is 'partial: sampled'; }
forbidden() {
    printf '[runner]\ncgroup_scope = "never"\n' >/srv/tests/never.toml
    report --config /srv/tests/never.toml --memory 64MiB -- true && memory_is 'partial: sampled'
}
busless() {
    [ "$as" ] || return 0
    $user "$bin/ringfence" run --json --memory 64MiB -- true >/tmp/said 2>/tmp/told && memory_is 'partial: sampled'
}

# A process of a service stays there, and one whose scope has limits stays in them: root, who may, has its own groups below.
stays() {
    systemd-run --quiet "$@" $as "$bin/ringfence" doctor >/tmp/said 2>/tmp/told
    grep -q 'control_group  *limits of a tree' /tmp/said
}
service() { stays --wait --pipe -p DefaultDependencies=no; }
limited() { stays --scope -p MemoryMax=500M; }

# Delegated by hand, as the documentation says.
delegated() {
    systemd-run --quiet --scope -p Delegate=yes "$bin/ringfence" run --json -- true >/tmp/said 2>/tmp/told &&
        memory_is full
}

# A killed supervisor leaves a scope with a tree that ends by itself, and so does the scope.
killed() {
    $as "$bin/ringfence" run --memory 64MiB -- sleep 600 >/tmp/said 2>/tmp/told &
    tries=0
    until find /sys/fs/cgroup -type d -name 'ringfence-0*' | grep -q . || [ $tries = 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -KILL $!
    wait $! 2>/dev/null
    [ $tries -lt 100 ] && tidy
}

# The manager forgets an empty scope a moment later.
tidy() {
    tries=0
    while find /sys/fs/cgroup -type d -name 'ringfence-*' | grep . >/tmp/said && [ $tries != 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    [ ! -s /tmp/said ]
}

doctor() { $as "$bin/ringfence" doctor >/tmp/said 2>/tmp/told && grep -q 'control_group.*in a scope' /tmp/said; }

# How long ten runs take, with and without; emulated time, for the proportion.
cost() {
    for memory in 0 64MiB; do
        start=$(date +%s%N)
        for count in 1 2 3 4 5 6 7 8 9 10; do $as "$bin/ringfence" run --memory $memory -- true; done
        echo "ten runs with --memory $memory: $((($(date +%s%N) - start) / 1000000)) ms"
    done
}

for as in "" "$user XDG_RUNTIME_DIR=/run/user/$uid"; do
    who=${as:+an ordinary user}
    check "a limit in a scope, as ${who:-root}" kept
    check "cores in a scope, as ${who:-root}" cores
    check "no scope without a limit, as ${who:-root}" sampled
    check "no scope where the config forbids it, as ${who:-root}" forbidden
    check "no scope without a bus, as ${who:-root}" busless
    check "no scope for a service, as ${who:-root}" service
    check "no scope that leaves limits behind, as ${who:-root}" limited
    check "a scope that is delegated, as ${who:-root}" delegated
    check "doctor, as ${who:-root}" doctor
    check "no scope of a killed supervisor, as ${who:-root}" killed
    check "no scope of a run, as ${who:-root}" tidy
    cost
done
echo "suite: $passed passed, $failed failed, 0 skipped"
