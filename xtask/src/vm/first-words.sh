# What every machine is asked first, as root and as an ordinary user: does a run work, held by what is expected, or
# is it refused in words that help; and does `ringfence doctor` see it the same way.
bin=/srv/tests/bin status=0 passed=0 failed=0
mkdir -p "$bin" && cp "$programs/ringfence" "$programs/attacker" "$bin" || exit 1
mkdir -p /srv/tests/w && chown ringfence-test /srv/tests/w && cd /srv/tests/w || exit 1

check() {
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)) status=1
        echo "failed: $what"
        sed 's/^/    /' /tmp/said /tmp/told 2>/dev/null
    fi
}

run() {
    $as "$bin/ringfence" run --json -c 'echo hello' >/tmp/said 2>/tmp/told
    run=$?
    if [ "$holds" = refused ]; then
        [ $run = 125 ] && grep -q 'user namespace' /tmp/told && grep -q '"outcome":"\(refused\|failed\)"' /tmp/said
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

doctor() {
    $as "$bin/ringfence" doctor >/tmp/said 2>/tmp/told
    [ $? -le 125 ] && grep -q user_namespaces /tmp/said && grep -q landlock /tmp/said
}

home=$(awk -F: '$1 == "ringfence-test" { print $6 }' /etc/passwd)
for as in "" "setpriv --reuid=ringfence-test --regid=ringfence-test --clear-groups --inh-caps=-all env HOME=$home"; do
    who=${as:+an ordinary user}
    check "run --json, as ${who:-root}" run
    check "run, as ${who:-root}" plain
    check "doctor, as ${who:-root}" doctor
done
cat /tmp/said
echo "suite: $passed passed, $failed failed, 0 skipped"
